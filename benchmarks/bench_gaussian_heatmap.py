"""Gaussian heatmaps beside CenterNet's numpy drawing and a vectorised torch one.

    python -m pytest benchmarks/bench_gaussian_heatmap.py --benchmark-only

All draw 500 objects of their own widths on 192 x 256 cells and keep the greatest value. A GPU is
used where there is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import DEVICES, finished
from floors import window_cells
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount import ops

SIZE = (192, 256)


def make_objects(device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(500, 2, generator=generator)
    points = (unit * torch.tensor([SIZE[1] - 1, SIZE[0] - 1])).round()
    sigma = 1.0 + 4.0 * torch.rand(500, generator=generator)
    return points.to(device), sigma.to(device)


def numpy_drawing(points: np.ndarray[Any, Any], sigmas: np.ndarray[Any, Any]) -> torch.Tensor:
    """Object by object, as detectors by centres prepare their targets."""
    heatmap = np.zeros(SIZE, np.float32)
    for (px, py), sigma in zip(points, sigmas, strict=True):
        radius = int(3 * sigma + 0.5)
        y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        gaussian = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
        left, right = min(px, radius), min(SIZE[1] - px, radius + 1)
        top, bottom = min(py, radius), min(SIZE[0] - py, radius + 1)
        window = heatmap[py - top : py + bottom, px - left : px + right]
        part = gaussian[radius - top : radius + bottom, radius - left : radius + right]
        np.maximum(window, part, out=window)
    return torch.from_numpy(heatmap)


def torch_drawing(points: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Every object on every cell at once, from two tables of one-dimensional Gaussians."""
    v = torch.arange(SIZE[0], device=points.device)
    u = torch.arange(SIZE[1], device=points.device)
    rate = (0.5 / sigma**2)[:, None]
    down = torch.exp(-((v - points[:, 1:]) ** 2) * rate)
    across = torch.exp(-((u - points[:, :1]) ** 2) * rate)
    return (down[:, :, None] * across[:, None, :]).amax(0)


@pytest.mark.benchmark(group="gaussian_heatmap")
@pytest.mark.parametrize("device", DEVICES)
def test_fastcount(benchmark: BenchmarkFixture, device: str) -> None:
    points, sigma = make_objects(device)
    benchmark.extra_info["bytes"] = 4 * SIZE[0] * SIZE[1]
    benchmark.extra_info["operations"] = 2 * window_cells(points, sigma.cpu(), SIZE)
    drawn = benchmark(finished(lambda: ops.gaussian_heatmap(points, SIZE, sigma), device))
    assert float(drawn.max()) == 1.0


@pytest.mark.benchmark(group="gaussian_heatmap")
def test_numpy_centernet(benchmark: BenchmarkFixture) -> None:
    points, sigma = make_objects()
    cells, widths = points.long().numpy(), sigma.numpy()
    drawn = benchmark(lambda: numpy_drawing(cells, widths))
    torch.testing.assert_close(
        drawn, ops.gaussian_heatmap(points, SIZE, sigma)[0, 0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.benchmark(group="gaussian_heatmap")
@pytest.mark.parametrize("device", DEVICES)
def test_torch_vectorised(benchmark: BenchmarkFixture, device: str) -> None:
    points, sigma = make_objects(device)
    drawn = benchmark(finished(lambda: torch_drawing(points, sigma), device))
    # What it draws beyond three sigma, on either axis, is below exp(-4.5).
    ours = ops.gaussian_heatmap(points, SIZE, sigma)[0, 0]
    torch.testing.assert_close(drawn, ours, rtol=1e-5, atol=0.0112)
