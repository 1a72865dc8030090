"""Counting a picture with an exported model starts quickly: it imports what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcount.cli import _COMMANDS, _application, messages
from fastcount.shipped import shipped_export

SCRIPT = """
import sys
from fastcount.cli import main

assert main(["count", *sys.argv[1:]]) == 0
print(*sys.modules, file=sys.stderr)
"""
#: Each takes longer to import than a small picture takes to count.
SLOW = {"torch", "torchvision", "scipy", "timm", "rich", "yaml", "lightning"}


def test_counting_imports_nothing_slow(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = shipped_export("crowd")
    assert model is not None
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(picture)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(picture), "--model", str(model)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "onnxruntime" in loaded
    assert not loaded & SLOW
    commands = {name for name in loaded if name in {module for module, _ in _COMMANDS.values()}}
    assert commands == {"fastcount.cli.count"}
    assert done.stdout.splitlines()[0].split() == ["picture", "count"]


def test_every_command_is_there() -> None:
    named = [command.name for command in _application(_COMMANDS).registered_commands]
    assert named == list(_COMMANDS)


def test_columns_stand_under_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    messages.print_columns(
        [["picture", "count"], ["人群.png", "7.0"], [], ["2 pictures", "1234.5"]]
    )
    assert capsys.readouterr().out.splitlines() == [
        "picture      count",
        "人群.png       7.0",
        "",
        "2 pictures  1234.5",
    ]


def test_a_row_is_one_line_whatever_a_file_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    messages.print_columns([["picture", "count"], ["a\nb\x1b[2J\u00a0é.png", "7.0"]])
    assert capsys.readouterr().out.splitlines()[1:] == ["a\\nb\\x1b[2J\u00a0é.png    7.0"]
