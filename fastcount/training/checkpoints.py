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

    What is loaded knows its checkpoints by the folder that it is loaded from: a run's folder may
    have been moved, and Lightning would then forget which of them was the best.
    """

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        try:
            with atomic_path(path) as temporary:
                torch.save(checkpoint, temporary)
        except RuntimeError as error:  # of PyTorch's writer: the disk is full, say
            reason = str(error).splitlines()[0]
            raise OSError(f"{path}: cannot be written ({reason}); is the disk full?") from error

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *arguments, **options)
        folder = str(Path(path).parent.resolve())
        for state in checkpoint.get("callbacks", {}).values():
            if "dirpath" in state:  # of a ModelCheckpoint
                _move(state, folder)
        return checkpoint


def _move(state: dict[str, Any], folder: str) -> None:
    """Turns the state of a ``ModelCheckpoint`` into that of one whose files lie in ``folder``."""

    def moved(path: str) -> str:
        return str(Path(folder) / Path(path).name) if path else path

    state["dirpath"] = folder
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[name] = moved(state[name])
    state["best_k_models"] = {moved(path): at for path, at in state["best_k_models"].items()}


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
