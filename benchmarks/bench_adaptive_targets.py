"""Geometry-adaptive density maps, neighbours included, beside scipy and numpy.

    python -m pytest benchmarks/bench_adaptive_targets.py --benchmark-only

The crowd is as large as the fullest picture of UCF-QNRF: 12,865 points on 2013 x 2902 pixels, each
Gaussian a tenth as wide as the mean distance to four neighbours. The peers: a k-d tree and numpy
on the window of each head, and the loop that crowd counting began with, which filters a whole
picture for every head. That loop takes hours: it is timed on a few heads and extrapolated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from floors import window_cells
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.ops import adaptive_sigma, density_map

COUNT, SIZE = 12_865, (2013, 2902)
LEGACY_HEADS = 4

Array = np.ndarray[Any, Any]


@pytest.fixture(params=["even", "clustered"])
def crowd(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> torch.Tensor:
    benchmark.group = f"adaptive targets, {request.param}"
    unit = torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(0))
    if request.param == "clustered":
        unit = unit.pow(2)
    return unit * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])


def widths_by_tree(points: Array) -> Array:
    spatial = pytest.importorskip("scipy.spatial")
    distance, _ = spatial.cKDTree(points).query(points, k=5, workers=torch.get_num_threads())
    widths: Array = 0.1 * distance[:, 1:].mean(axis=1)
    return widths


def by_windows(points: Array) -> Array:
    """Each Gaussian on its own window, as two one-dimensional ones, divided by its sum."""
    density = np.zeros(SIZE, np.float32)
    for (x, y), sigma in zip(points, widths_by_tree(points), strict=True):
        radius = int(3.0 * sigma + 0.5)
        col, row = int(x + 0.5), int(y + 0.5)
        left, right = max(col - radius, 0), min(col + radius + 1, SIZE[1])
        top, bottom = max(row - radius, 0), min(row + radius + 1, SIZE[0])
        across = np.exp(-0.5 * ((np.arange(left, right) - x) / sigma) ** 2)
        down = np.exp(-0.5 * ((np.arange(top, bottom) - y) / sigma) ** 2)
        density[top:bottom, left:right] += np.outer(down / down.sum(), across / across.sum())
    return density


def test_fastcount(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    cells = window_cells(crowd, adaptive_sigma(crowd), SIZE)
    benchmark.extra_info["bytes"] = 4 * SIZE[0] * SIZE[1]
    benchmark.extra_info["operations"] = cells + COUNT * 72 * 4 * 2  # neighbours: see bench_knn
    drawn = benchmark(lambda: density_map(crowd, SIZE, sigma=adaptive_sigma(crowd)))
    assert float(drawn.double().sum()) == pytest.approx(COUNT, rel=1e-5)


def test_scipy_ckdtree_numpy_windows(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    points = crowd.double().numpy()
    density = benchmark(by_windows, points)
    ours = density_map(crowd.double(), SIZE, sigma=adaptive_sigma(crowd.double()))[0, 0]
    torch.testing.assert_close(ours, torch.from_numpy(density), rtol=1e-4, atol=1e-5)


def test_legacy_loop_extrapolated(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    """Heads of even ranks by width stand for all; the tree's time is left out, to its favour."""
    ndimage = pytest.importorskip("scipy.ndimage")
    points = crowd.numpy()
    widths = widths_by_tree(points)
    ranks = np.linspace(0, COUNT - 1, LEGACY_HEADS + 2)[1:-1].astype(int)
    heads = np.argsort(widths)[ranks]

    def loop() -> Array:
        density = np.zeros(SIZE, np.float32)
        for head in heads:
            alone = np.zeros(SIZE, np.float32)
            alone[int(points[head, 1]), int(points[head, 0])] = 1.0
            density += ndimage.gaussian_filter(alone, widths[head], mode="constant")
        return density

    benchmark.extra_info["scale"] = COUNT / LEGACY_HEADS
    density = benchmark.pedantic(loop, rounds=3, warmup_rounds=0)
    assert 0 < float(density.sum()) <= LEGACY_HEADS * 1.0001
