"""Counting with an ONNX file, without PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from box_network import DESCRIPTION, PICTURE, STRIDE, TILING, expected_density, write
from numpy.typing import NDArray

import fastcount
from fastcount.runtime import Counter
from fastcount.runtime.description import Description, read_sidecar, sidecar
from fastcount.runtime.exported import InputShape
from fastcount.runtime.onnx_engine import OnnxEngine

pytest.importorskip("onnxruntime")


def test_counts_as_numpy_does(tmp_path: Path) -> None:
    counter = fastcount.load(write(tmp_path / "boxes.onnx"), device="cpu")
    counting = counter(PICTURE)
    density = expected_density(PICTURE)
    np.testing.assert_allclose(counting.density, density, rtol=1e-5)
    assert counting.count == pytest.approx(density.sum(), rel=1e-5)
    assert (counting.stride, counting.size) == (STRIDE, (77, 101))
    assert (counter.name, counter.engine.classes) == ("boxes", ("spot",))
    assert counter.engine.tiling == TILING


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_a_fixed_input_gives_the_same(tmp_path: Path, batch: int | None) -> None:
    """Tiles smaller than the input and incomplete batches are padded; padding does not count."""
    fixed = replace(DESCRIPTION, size=(64, 48), batch=batch, tiling=replace(TILING, tile=(64, 48)))
    counter = Counter(OnnxEngine(write(tmp_path / "fixed.onnx", fixed), "cpu", threads=1))
    for picture in (PICTURE, PICTURE[:40], PICTURE[:33, :21]):
        counting = counter(picture, batch_size=2)
        np.testing.assert_allclose(counting.density, expected_density(picture), rtol=1e-5)
        assert counting.count == pytest.approx(expected_density(picture).sum(), rel=1e-5)
    with pytest.raises(ValueError, match=r"exported for 64x48, got 80x80"):
        counter(PICTURE, tile=80)


def test_what_lies_in_the_padding_is_not_counted() -> None:
    """Bright padding, which the network sees as objects."""

    def network(tiles: NDArray[np.uint8]) -> list[fastcount.runtime.TileResult]:
        assert tiles.shape == (2, 16, 16, 3)
        return [
            fastcount.runtime.TileResult(
                float(expected_density(tile).sum()) + 5,
                density=expected_density(tile).astype(np.float32),
                stride=STRIDE,
            )
            for tile in tiles
        ]

    tiles = PICTURE[None, :9, :16]
    (result,) = InputShape(2, (16, 16)).run(tiles, (255, 255, 255), network)
    padded = np.full((12, 16, 3), 255, np.uint8)
    padded[:9] = PICTURE[:9, :16]
    assert result.density is not None
    np.testing.assert_allclose(result.density, expected_density(padded), rtol=1e-5)
    assert result.count == pytest.approx(expected_density(padded).sum() + 5, rel=1e-5)


def test_the_description_survives_its_file(tmp_path: Path) -> None:
    full = replace(DESCRIPTION, size=(64, 48), batch=2, precision="int8", stride=None)
    assert Description.from_json(full.to_json(), "here") == full
    path = tmp_path / "model.plan"
    sidecar(path).write_text(full.to_json(), encoding="utf-8")
    assert sidecar(path).name == "model.plan.json"
    assert read_sidecar(path) == full
    with pytest.raises(ValueError, match=r"other\.plan\.json beside it"):
        read_sidecar(tmp_path / "other.plan")
    with pytest.raises(ValueError, match="is of format 9"):
        Description.from_json(full.to_json().replace('"format": 1', '"format": 9'), "here")
    for broken in ("", "[]", "{}", "[" * 100_000, full.to_json().replace('"margin"', '"margni"')):
        with pytest.raises(ValueError, match="here: its description is broken"):
            Description.from_json(broken, "here")


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file .*x\.onnx"):
        fastcount.load(tmp_path / "x.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.onnx cannot be run by ONNX Runtime"):
        fastcount.load(tmp_path / "broken.onnx")
    with pytest.raises(ValueError, match="does not say how to count with it"):
        fastcount.load(write(tmp_path / "plain.onnx", described=False))
    good = write(tmp_path / "good.onnx")
    with pytest.raises(
        ValueError, match="device: expected 'cpu', 'cuda' or 'cuda:N', got 'abacus'"
    ):
        fastcount.load(good, device="abacus")
    with pytest.raises(ValueError, match="threads: expected at least 1, got 0"):
        OnnxEngine(good, threads=0)
