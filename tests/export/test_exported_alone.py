"""An exported file is enough: by what it says and what docs/exported.md says, anybody can count."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from small_models import PICTURES, small_model

import fastcount
from fastcount.export import Options, export_onnx
from fastcount.shipped import shipped_export

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exported.md"


def coins() -> Image.Image:
    """Six of them, in a picture of no tidy size."""
    picture = Image.new("RGB", (110, 75), (40, 40, 40))
    draw = ImageDraw.Draw(picture)
    for number in range(6):
        x, y = 12 + 34 * (number % 3), 12 + 32 * (number // 3)
        draw.ellipse((x, y, x + 18, y + 18), fill=(210, 200, 190))
    return picture


@pytest.mark.parametrize("name", ["cells", "mcnn"])
def test_the_program_of_the_page_counts_as_we_do(tmp_path: Path, name: str) -> None:
    path, shipped = tmp_path / "crowd.onnx", shipped_export(name)
    if shipped is None:
        export_onnx(small_model(name), path, PICTURES, Options())
    else:
        path.write_bytes(shipped.read_bytes())
    # The JPEG that the page names, without its losses.
    coins().save(tmp_path / "square.jpg", "PNG")
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = fastcount.load(path, device="cpu")(coins()).count
    assert expected > 0.1
    assert float(done.stdout) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["mcnn", "leaf_joint", "fcos"])
def test_a_file_says_in_words_how_to_count(tmp_path: Path, name: str) -> None:
    """And what its description says is there, is there."""
    path = tmp_path / "m.onnx"
    export_onnx(small_model(name), path, PICTURES, Options(batch=1))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta()
    description = json.loads(about.custom_metadata_map["fastcount"])
    lines = dict(line.partition(": ")[::2] for line in about.description.splitlines())
    assert "uint8 RGB" in lines["images"]
    for output in session.get_outputs():
        assert lines[output.name]
        assert f"`{output.name}`" in PAGE.read_text()
    sides = description["size"] or [description["tiling"]["align"]]
    assert all(str(side) in about.description for side in sides)
    assert ("intersection over union" in about.description) == (description["overlap"] is not None)
