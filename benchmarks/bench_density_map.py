"""Density maps beside what people use: a filtered delta image, and pooling a full map.

    python -m pytest benchmarks/bench_density_map.py --benchmark-only

All draw 1000 points of sigma 15 on 768 x 1024, in as many threads as torch has. scipy and OpenCV
filter an image of deltas at rounded points, which makes them less exact. A GPU is used where there
is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from devices import DEVICES, finished
from floors import window_cells
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount import ops

SIZE = (768, 1024)
SIGMA = 15.0
STRIDES = (8, 16, 32, 64, 128)


def make_points(device: str = "cpu") -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(1000, 2, generator=generator)
    return (unit * torch.tensor([SIZE[1], SIZE[0]]) - 0.5).to(device)


def make_deltas() -> np.ndarray[Any, np.dtype[np.float32]]:
    deltas = np.zeros(SIZE, np.float32)
    cells = make_points().round().long().clamp(min=0)
    np.add.at(deltas, (cells[:, 1].numpy(), cells[:, 0].numpy()), 1)
    return deltas


def assert_is_ours(filtered: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    """The filters leave what lies outside the picture in the sum, and know whole pixels only."""
    points = make_points().round().clamp(min=0)
    ours = ops.density_map(points, SIZE, sigma=SIGMA, border="clip")[0, 0]
    torch.testing.assert_close(torch.from_numpy(filtered), ours, rtol=1e-4, atol=1e-7)


@pytest.mark.benchmark(group="density_map")
@pytest.mark.parametrize("device", DEVICES)
def test_fastcount(benchmark: BenchmarkFixture, device: str) -> None:
    points = make_points(device)
    benchmark.extra_info["bytes"] = 4 * SIZE[0] * SIZE[1]
    benchmark.extra_info["operations"] = window_cells(points, SIGMA, SIZE)
    drawn = benchmark(finished(lambda: ops.density_map(points, SIZE, sigma=SIGMA), device))
    assert float(drawn.sum()) == pytest.approx(1000, rel=1e-5)


@pytest.mark.benchmark(group="density_map")
def test_scipy(benchmark: BenchmarkFixture) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    deltas = make_deltas()
    assert_is_ours(
        benchmark(lambda: ndimage.gaussian_filter(deltas, SIGMA, mode="constant", truncate=3.0))
    )


@pytest.mark.benchmark(group="density_map")
def test_opencv(benchmark: BenchmarkFixture) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(torch.get_num_threads())
    deltas = make_deltas()
    border = cv2.BORDER_CONSTANT
    assert_is_ours(benchmark(lambda: cv2.GaussianBlur(deltas, (91, 91), SIGMA, borderType=border)))


@pytest.mark.benchmark(group="density_pyramid")
@pytest.mark.parametrize("device", DEVICES)
def test_pyramid_fastcount(benchmark: BenchmarkFixture, device: str) -> None:
    points = make_points(device)
    cells = [-(-SIZE[0] // stride) * -(-SIZE[1] // stride) for stride in STRIDES]
    drawn = [window_cells(points, SIGMA, SIZE, stride=stride) for stride in STRIDES]
    weights = 2 * (2 * int(3 * SIGMA + 0.5) + 1) * len(points)  # of one axis, in float64
    benchmark.extra_info["bytes"] = 4 * sum(cells)
    benchmark.extra_info["operations"] = sum(drawn) + 2 * 2 * weights
    benchmark(
        finished(lambda: ops.density_pyramid(points, SIZE, sigma=SIGMA, strides=STRIDES), device)
    )


@pytest.mark.benchmark(group="density_pyramid")
@pytest.mark.parametrize("device", DEVICES)
def test_pyramid_by_pooling(benchmark: BenchmarkFixture, device: str) -> None:
    """Our own full-resolution map, pooled by torch from the finest stride on."""
    points = make_points(device)

    def pooled() -> list[torch.Tensor]:
        level = F.avg_pool2d(ops.density_map(points, SIZE, sigma=SIGMA), STRIDES[0])
        levels = [level * float(STRIDES[0]) ** 2]
        for _ in STRIDES[1:]:
            levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True) * 4.0)
        return levels

    ours = ops.density_pyramid(points, SIZE, sigma=SIGMA, strides=STRIDES)
    for level, own in zip(benchmark(finished(pooled, device)), ours, strict=True):
        torch.testing.assert_close(level, own, rtol=1e-4, atol=1e-6)
