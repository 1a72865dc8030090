"""Models and checkpoints where the disk is full: files that may not grow behave like it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.training.checkpoints import WholeCheckpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no limits of files")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_model(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    model = create_model("mcnn")
    save_model(model, path, card={"which": "old"})
    with (
        files_of_at_most(9_000),
        pytest.raises(OSError, match=r"a\.safetensors: cannot be written"),
    ):
        save_model(model, path)
    assert load_model(path).card == {"which": "old"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"step": 1}, path)
    with files_of_at_most(9_000), pytest.raises(OSError, match=r"last\.ckpt: cannot be written"):
        WholeCheckpoints().save_checkpoint({"step": 2, "weights": torch.zeros(9_000)}, path)
    assert WholeCheckpoints().load_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]
