"""What runs without PyTorch around a network: scaling, suppression of boxes, stitching.

Beside Pillow (one thread), torchvision's NMS (boxes of which nearly all stay) and NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.runtime import letterbox, native

SCALINGS = [((3000, 4000), (800, 1067)), ((480, 640), (800, 1067)), ((1200, 1600), (1152, 1536))]
BOXES = [3840, 12865]
CELLS = [192, 1536]

Size = tuple[int, int]


def pixels(size: Size) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def scaling(old: Size, new: Size) -> str:
    return f"scale {old[0]}x{old[1]} to {new[0]}x{new[1]}"


@pytest.mark.parametrize(("old", "new"), SCALINGS)
def test_fastcount_scales(benchmark: BenchmarkFixture, old: Size, new: Size) -> None:
    benchmark.group = scaling(old, new)
    benchmark.extra_info["bytes"] = 3 * (old[0] * old[1] + new[0] * new[1])
    picture, out = pixels(old), np.empty((*new, 3), np.uint8)
    benchmark(native.cut, picture, new, (0, 0), (0, 0, 0), out)


@pytest.mark.parametrize(("old", "new"), SCALINGS)
def test_fastcount_letterboxes(benchmark: BenchmarkFixture, old: Size, new: Size) -> None:
    benchmark.group = scaling(old, new)
    benchmark.extra_info["bytes"] = 3 * old[0] * old[1] + 12 * new[0] * new[1]
    assert benchmark(letterbox, pixels(old), new).pixels.dtype == np.float32


@pytest.mark.parametrize(("old", "new"), SCALINGS)
def test_pillow(benchmark: BenchmarkFixture, old: Size, new: Size) -> None:
    benchmark.group = scaling(old, new)
    picture = pixels(old)

    def scale() -> NDArray[np.uint8]:
        image = Image.fromarray(picture).resize(new[::-1], Image.Resampling.BILINEAR)
        return np.asarray(image)

    ours = np.empty((*new, 3), np.uint8)
    native.cut(picture, new, (0, 0), (0, 0, 0), ours)
    # Off by one where the two sides are not scaled alike, which Pillow rounds differently.
    np.testing.assert_allclose(benchmark(scale).astype(int), ours, rtol=0, atol=1)


def boxes(number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heads of a crowd on 2000 x 2000 pixels."""
    rng = np.random.default_rng(0)
    centres = rng.random((number, 2), np.float32) * np.float32(2000)
    halves = (rng.random((number, 2), np.float32) + np.float32(0.5)) * np.float32(6)
    return np.concatenate([centres - halves, centres + halves], axis=1), rng.random(
        number, np.float32
    )


@pytest.mark.parametrize("number", BOXES)
def test_fastcount_suppresses(benchmark: BenchmarkFixture, number: int) -> None:
    benchmark.group = f"nms {number}"
    benchmark.extra_info["bytes"] = 28 * number
    found, scores = boxes(number)
    assert len(benchmark(native.nms, found, scores, None, 0.5)) > 0.9 * number


@pytest.mark.parametrize("number", BOXES)
def test_torchvision_nms(benchmark: BenchmarkFixture, number: int) -> None:
    torch = pytest.importorskip("torch")
    nms = pytest.importorskip("torchvision.ops").nms
    benchmark.group = f"nms {number}"
    kept = benchmark(nms, *map(torch.from_numpy, boxes(number)), 0.5)
    np.testing.assert_array_equal(kept.numpy(), native.nms(*boxes(number), None, 0.5))


@pytest.mark.parametrize("side", CELLS)
def test_fastcount_stitches(benchmark: BenchmarkFixture, side: int) -> None:
    benchmark.group = f"stitch {side}x{side} cells"
    benchmark.extra_info["bytes"] = 8 * side * side
    tile, cells = np.ones((side, side), np.float32), np.zeros((2 * side, 2 * side), np.float32)
    edge = side // 12
    core = (edge, side - edge, edge, side - edge)
    assert benchmark(native.place_core, tile, core, cells, (edge, edge))[0] == side**2


@pytest.mark.parametrize("side", CELLS)
def test_numpy_stitches(benchmark: BenchmarkFixture, side: int) -> None:
    benchmark.group = f"stitch {side}x{side} cells"
    tile, cells = np.ones((side, side), np.float32), np.zeros((2 * side, 2 * side), np.float32)
    edge = side // 12

    def stitch() -> tuple[float, float]:
        core = tile[edge : side - edge, edge : side - edge]
        cells[edge : side - edge, edge : side - edge] = core
        return float(tile.sum(dtype=np.float64)), float(core.sum(dtype=np.float64))

    assert benchmark(stitch)[0] == side**2
