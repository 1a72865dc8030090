"""RAZ-Net's second look in numpy: the same as PyTorch's, part by part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastcount.models.parts import grid_fusion, zooming
from fastcount.models.parts.region_proposals import propose_regions
from fastcount.models.parts.zooming import Located
from fastcount.runtime.description import Description, Zoom
from fastcount.runtime.engine import TileResult
from fastcount.runtime.regions import _draws
from fastcount.runtime.tiling import Tiling
from fastcount.runtime.zooming import look_again


def spots(seed: int, size: tuple[int, int], number: int) -> np.ndarray:
    """(H, W) hills of a few pixels at random places."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    hills = np.zeros(size)
    for y, x in rng.uniform(0, size, (number, 2)):
        hills += rng.uniform(0.1, 1) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 40)
    return hills.astype(np.float32)


@pytest.mark.parametrize("number", [1, 200, 1000])
def test_numbers_are_those_that_pytorch_draws(number: int) -> None:
    """Networks were trained on the regions that these give."""
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(number, dtype=torch.float64, generator=generator).numpy()
    np.testing.assert_array_equal(_draws(number), known)


def test_nothing_to_look_at() -> None:
    result = TileResult(0.0, points=np.zeros((0, 2), np.float32), scores=np.zeros(0, np.float32))

    def look(parts: np.ndarray) -> list[TileResult]:
        raise AssertionError("there is no region to look at")

    picture = np.zeros((40, 50, 3), np.uint8)
    again = look_again(result, np.zeros((40, 50), np.float32), picture, look, Zoom(None))
    assert again.count == 0


@pytest.mark.parametrize("seed", range(5))
def test_points_and_fusion_are_those_of_pytorch(seed: int) -> None:
    """What the second network sees is made up from the part it is given: the brightest pixels."""
    rng = np.random.default_rng(seed)
    height, width, stride = 72, 96, 8
    attention = spots(seed, (height, width), 4)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    points = rng.uniform(0, (width - 1, height - 1), (60, 2)).astype(np.float32)
    scores = rng.uniform(0.5, 1, 60).astype(np.float32)
    density = rng.uniform(0, 2, (height // stride, width // stride)).astype(np.float32)
    theta = torch.linspace(0, 9, 16).view(4, 4)

    def bright(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, x = np.nonzero(part[..., 0] > 250)
        return np.stack([2 * x, 2 * y + 1], axis=1).astype(np.float32), np.ones(len(x), np.float32)

    def look(parts: np.ndarray) -> list[TileResult]:
        found = [bright(part) for part in parts]
        return [TileResult(len(own), points=own, scores=sure) for own, sure in found]

    first = TileResult(60.0, density=density, stride=stride, points=points, scores=scores)
    again = look_again(first, attention, picture, look, Zoom(tuple(map(tuple, theta.tolist()))))

    regions = propose_regions(torch.from_numpy(attention))
    assert len(regions) > 1
    inner = []
    for region in regions:
        x1, y1, x2, y2 = region.tolist()
        own, sure = map(torch.from_numpy, bright(picture[y1:y2, x1:x2]))
        inner.append(Located(zooming.out_of_region(own, region), sure))
    known = zooming.replace_inside(
        Located(torch.from_numpy(points), torch.from_numpy(scores)), regions, inner
    )
    np.testing.assert_array_equal(again.points, known.points.numpy())
    np.testing.assert_array_equal(again.scores, known.scores.numpy())
    cells = (height // stride, width // stride)
    located = grid_fusion.points_per_cell([known.points], cells, stride)
    fused = grid_fusion.fuse(torch.from_numpy(density)[None, None], located, theta)
    np.testing.assert_array_equal(again.density, fused[0, 0].numpy())
    assert again.count == pytest.approx(float(fused.sum()), rel=1e-6)


def test_a_description_keeps_what_is_done_with_the_second_look() -> None:
    tiling = Tiling(mode="overlap", tile=(64, 64), margin=8, align=8)
    for zoom in (None, Zoom(None), Zoom(((1.5, float(np.finfo(np.float32).max)), (0.0, -2.0)))):
        written = Description("raznet", tiling, 8, locates="points", zoom=zoom).to_json()
        assert Description.from_json(written, "here").zoom == zoom
