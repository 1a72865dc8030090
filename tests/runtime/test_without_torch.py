"""Every engine counts where importing PyTorch is an error, from Python and by command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from box_network import DESCRIPTION, PICTURE, expected_density, write
from PIL import Image

from fastcount.runtime.description import sidecar

SMALL = PICTURE[:61, :53]  # one tile, black beyond
BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnx", "timm", "lightning"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""
COUNTED = """
import fastcount
from fastcount.cli import main

model, picture = sys.argv[1:3]
counting = fastcount.load(model)(picture)
code = main(["count", picture, "--model", model, "--json"])
assert code == 0, code
assert not [name for name in sys.modules if name.partition(".")[0] in ("torch", "torchvision")]
print(counting.count, file=sys.stderr)
"""
STAND_INS = f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
import fake_tensorrt, pytest
fake_tensorrt.install(pytest.MonkeyPatch())
"""


def exported(folder: Path, suffix: str) -> tuple[Path, float]:
    """A file for the engine of that suffix, and what it counts in SMALL."""
    path = folder / f"model{suffix}"
    if suffix == ".plan":  # of stand-ins for TensorRT: the sum of the pixels
        path.write_bytes(b"plan")
        description = replace(DESCRIPTION, stride=None)
        sidecar(path).write_text(description.to_json(), encoding="utf-8")
        return path, float(SMALL.sum())
    expected = float(expected_density(SMALL).sum())
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
        return write(path), expected
    openvino = pytest.importorskip("openvino")
    openvino.save_model(openvino.Core().read_model(write(folder / "model.onnx")), path)
    sidecar(path).write_text(DESCRIPTION.to_json(), encoding="utf-8")
    return path, expected


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".plan"])
def test_counts_where_there_is_no_torch(tmp_path: Path, suffix: str) -> None:
    path, expected = exported(tmp_path, suffix)
    picture = tmp_path / "picture.png"
    Image.fromarray(SMALL).save(picture)
    script = BLOCKED + (STAND_INS if suffix == ".plan" else "") + COUNTED
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(picture)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    count = pytest.approx(expected, rel=1e-4)
    assert float(done.stderr.splitlines()[-1]) == count
    assert json.loads(done.stdout)[0]["count"] == count


def test_the_blocker_blocks() -> None:
    for name in ("torch", "torchvision"):
        done = subprocess.run(
            [sys.executable, "-c", f"{BLOCKED}\nimport {name}"], capture_output=True, text=True
        )
        assert f"{name} is blocked" in done.stderr
