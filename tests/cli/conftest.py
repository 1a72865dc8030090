"""A small model and a few pictures for every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fastcount.cli import main
from fastcount.models import create_model
from fastcount.models.checkpoint import save_model


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """MCNN with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(create_model("mcnn"), path, card={"data": "none", "results": {"mae": 1.25}})
    return str(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder: a.png, b.jpg, and below it sub/a.png and sub/notes.txt."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, name in enumerate(("a.png", "b.jpg", "sub/a.png")):
        values = rng.integers(0, 80 + 80 * number, (40 + 8 * number, 52, 3), np.uint8)
        Image.fromarray(values).save(folder / name)
    (folder / "sub" / "notes.txt").write_text("not a picture")
    return folder


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("count", path)`` gives the exit status, stdout and stderr."""

    def go(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return go


@pytest.fixture
def run_json(run: Run) -> Callable[..., tuple[int, Any]]:
    """The same with all of stdout parsed: it must be one JSON document and nothing else."""

    def go(*arguments: object) -> tuple[int, Any]:
        code, out, err = run(*arguments)
        assert out, err
        return code, json.loads(out)

    return go
