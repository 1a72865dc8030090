"""Peaks of one 768 x 1024 map, beside kornia (3 x 3 windows) and scipy's maximum filter.

The maps: noise, in which every window holds a peak, and blobs on a dark ground, as a network
makes them.
"""

from __future__ import annotations

import math

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.ops import find_peaks, gaussian_heatmap

HEIGHT, WIDTH = 768, 1024
SIZES = [3, 7, 11]


@pytest.fixture(params=["noise", "blobs"])
def content(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scores(content: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if content == "noise":
        return torch.rand(1, 1, HEIGHT, WIDTH, generator=generator)
    points = torch.rand(1000, 2, generator=generator) * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])
    return gaussian_heatmap(points, (HEIGHT, WIDTH), 2.0)


def group(content: str, kernel_size: int) -> str:
    return f"find_peaks {kernel_size} x {kernel_size}, {content}"


@pytest.mark.parametrize("kernel_size", SIZES)
def test_fastcount(
    benchmark: BenchmarkFixture, content: str, scores: torch.Tensor, kernel_size: int
) -> None:
    benchmark.group = group(content, kernel_size)
    # Running maxima in both directions, each with the making of a key and a comparison.
    operations = 2 * (5 + math.log2(kernel_size)) * HEIGHT * WIDTH
    benchmark.extra_info |= {"bytes": 4 * HEIGHT * WIDTH, "operations": operations}
    peaks = benchmark(find_peaks, scores, kernel_size=kernel_size)
    assert len(peaks.scores) > 0


@pytest.mark.parametrize("kernel_size", SIZES)
def test_scipy_maximum_filter(
    benchmark: BenchmarkFixture, content: str, scores: torch.Tensor, kernel_size: int
) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    benchmark.group = group(content, kernel_size)
    values = scores[0, 0].numpy()

    def peaks() -> torch.Tensor:
        greatest = ndimage.maximum_filter(
            values, size=kernel_size, mode="constant", cval=-torch.inf
        )
        return torch.from_numpy((values == greatest) & (values >= 0.5)).nonzero()

    found = benchmark(peaks)
    assert len(found) >= len(find_peaks(scores, kernel_size=kernel_size).scores)


def test_kornia_nms2d(benchmark: BenchmarkFixture, content: str, scores: torch.Tensor) -> None:
    subpix = pytest.importorskip("kornia.geometry.subpix")
    benchmark.group = group(content, 3)

    def peaks() -> torch.Tensor:
        return (subpix.nms2d(scores, (3, 3)) >= 0.5).nonzero()

    found = benchmark(peaks)
    # kornia wants strictly greater values and drops what lies on the border
    assert 0 < len(found) <= len(find_peaks(scores).scores)
