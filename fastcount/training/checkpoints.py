"""Checkpoints that a killed run or a full disk cannot spoil."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from fastcount.files import atomic_path


class WholeCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint beside the one before and renames it.

    Lightning's own goes by way of the folder for temporary files, from where, on another file
    system, it is copied over what stood there.
    """

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


def checkpoints_in(folder: Path) -> list[Path]:
    """Those of the run in ``folder``, the last one first."""
    return [path for path in (folder / "last.ckpt", folder / "best.ckpt") if path.exists()]


def checkpoint_to_go_on_from(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The last whole checkpoint of a run, None where it has none.

    Raises ``ValueError`` where there are some and all are damaged.
    """
    for orphan in folder.glob(".*.ckpt"):  # of a run that was killed while it wrote
        orphan.unlink(missing_ok=True)
    found = checkpoints_in(folder)
    for path in found:
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # whatever damaged archives raise
            say(f"{path} is damaged and passed over ({(str(error).splitlines() or ['?'])[0]})")
            continue
        return path
    if found:
        raise ValueError(f"{folder}: its checkpoints are damaged; remove it to begin anew")
    return None


def steps_done(checkpoint: Path) -> int:
    """Steps of the optimiser that the run had taken when it wrote ``checkpoint``."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return int(state["global_step"])
