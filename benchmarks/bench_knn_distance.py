"""Distances for adaptive targets, beside scipy's k-d tree.

The crowd is as large as the fullest picture of UCF-QNRF: 12,865 points on 2013 x 2902 pixels.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.ops import adaptive_sigma

COUNT, HEIGHT, WIDTH = 12_865, 2013, 2902


@pytest.fixture(params=["even", "clustered"])
def crowd(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> torch.Tensor:
    benchmark.group = f"adaptive_sigma, {request.param}"
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(COUNT, 2, generator=generator)
    if request.param == "clustered":
        unit = unit.pow(3)
    return unit * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])


def test_fastcount(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    # Distances to the points of nine leaves of eight, of four operations in float64 each.
    benchmark.extra_info |= {"bytes": 24 * COUNT, "operations": COUNT * 72 * 4 * 2}
    sigma = benchmark(adaptive_sigma, crowd)
    assert sigma.shape == (COUNT,)


def test_scipy_ckdtree(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    points = crowd.numpy()

    def widths() -> torch.Tensor:
        distance, _ = spatial.cKDTree(points).query(points, k=5, workers=torch.get_num_threads())
        return torch.from_numpy(0.1 * distance[:, 1:].mean(axis=1))

    sigma = benchmark(widths)
    torch.testing.assert_close(sigma, adaptive_sigma(crowd).double(), rtol=1e-5, atol=1e-9)
