"""Two processes that exchange tensors as those of a training on two devices do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def in_two_processes(work: Callable[[int, Path], None], folder: Path) -> None:
    """Runs ``work(rank, folder)`` in both, where it may leave what it found in ``folder``."""
    mp.spawn(_begin, args=(work, folder), nprocs=2)


def _begin(rank: int, work: Callable[[int, Path], None], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    work(rank, folder)
    dist.destroy_process_group()
