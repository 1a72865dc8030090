"""Runs so small that a test can train them, and stop them half way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastcount.training.module import CountingModule

CELLS = "synthetic:?kind=cells&count=5&pictures=8&size=64"
_SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "model": {"name": "density_fpn", "width": 16, "depth": 1},
    "train": [{"dataset": CELLS}],
    "validation": 0.3,
    "crop": [32, 32],
    "batch_size": 2,
    "steps": 1,
    "validate_every": 1,
    "accelerator": "cpu",
    "threads": 1,
}


def write_run(folder: Path, **changes: Any) -> Path:
    """The configuration of a run whose output is ``folder``, but for ``changes``; its file."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**_SETTINGS, "output": str(folder), **changes}))
    return path


@contextmanager
def stopped_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What trains in the block fails at ``step`` of the optimiser."""
    plain = CountingModule.training_step

    def stops(self: CountingModule, batch: Any, index: int) -> Any:
        if self.global_step == step:
            raise RuntimeError("stopped")
        return plain(self, batch, index)

    with monkeypatch.context() as context:
        context.setattr(CountingModule, "training_step", stops)
        with pytest.raises(RuntimeError, match="stopped"):
            yield
