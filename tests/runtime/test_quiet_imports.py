"""Counting writes nothing into anybody's home and talks to nobody; nor do the other commands."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from box_network import DESCRIPTION, PICTURE, write
from PIL import Image

from fastcount.runtime.onnx_engine import OnnxEngine

pytest.importorskip("onnxruntime")


def _left_behind(home: Path, *arguments: str) -> list[Path]:
    """What the command ``arguments`` leaves in ``home``."""
    home.mkdir()
    # A machine for continuous integration is spared some of it.
    spared = {"CI", "ORT_DISABLE_TELEMETRY"}
    environment = {key: value for key, value in os.environ.items() if key not in spared}
    environment |= {"HOME": str(home)}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "fastcount", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(home.rglob("*"))


def _left_by_counting(tmp_path: Path, model: Path) -> list[Path]:
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    picture = str(tmp_path / "picture.png")
    return _left_behind(tmp_path / "home", "count", picture, "--model", str(model))


def test_onnx_runtime_is_quiet(tmp_path: Path) -> None:
    assert _left_by_counting(tmp_path, write(tmp_path / "boxes.onnx")) == []


def test_openvino_is_quiet(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    description = replace(DESCRIPTION, batch=None)
    graph = write(tmp_path / "boxes.onnx", description)
    path = tmp_path / "boxes.xml"
    openvino.save_model(openvino.Core().read_model(graph), path)
    path.with_name("boxes.xml.json").write_text(description.to_json())
    assert _left_by_counting(tmp_path, path) == []


def test_doctor_is_quiet(tmp_path: Path) -> None:
    assert _left_behind(tmp_path / "home", "doctor") == []


def test_a_failure_of_the_engine_is_an_error_with_a_cure(tmp_path: Path) -> None:
    engine = OnnxEngine(write(tmp_path / "boxes.onnx"), "cpu")

    class Full:
        def run(self, *_: object) -> None:
            raise Exception("std::bad_alloc\nin the arena")

    engine._session = Full()
    with pytest.raises(RuntimeError, match=r"failed \(std::bad_alloc\).*count in smaller tiles"):
        engine.run(PICTURE[None])
