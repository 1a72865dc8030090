"""Counting with OpenVINO."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from box_network import DESCRIPTION, PICTURE, expected_density, write

import fastcount
from fastcount.runtime.description import Description, sidecar

openvino = pytest.importorskip("openvino")


def convert(folder: Path, description: Description = DESCRIPTION) -> Path:
    path = folder / "boxes.xml"
    openvino.save_model(openvino.Core().read_model(write(folder / "boxes.onnx", description)), path)
    sidecar(path).write_text(description.to_json(), encoding="utf-8")
    return path


@pytest.mark.parametrize("size", [None, (80, 104)])
def test_counts_as_numpy_does(tmp_path: Path, size: tuple[int, int] | None) -> None:
    counter = fastcount.load(convert(tmp_path, replace(DESCRIPTION, size=size, batch=2)), "cpu")
    counting = counter(PICTURE)
    np.testing.assert_allclose(counting.density, expected_density(PICTURE), rtol=1e-4)
    assert counting.count == pytest.approx(expected_density(PICTURE).sum(), rel=1e-4)
    assert (counter.name, counter.engine.classes) == ("boxes", ("spot",))


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file .*x\.xml"):
        fastcount.load(tmp_path / "x.xml")
    path = convert(tmp_path)
    with pytest.raises(ValueError, match=r"device: OpenVINO knows CPU.*got 'cuda'"):
        fastcount.load(path, device="cuda")
    path.write_text("nothing")
    with pytest.raises(ValueError, match=r"boxes\.xml cannot be run by OpenVINO"):
        fastcount.load(path)
    sidecar(path).unlink()
    with pytest.raises(ValueError, match="without its description"):
        fastcount.load(path)
