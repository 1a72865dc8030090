"""The soft count, forward and backward, beside torch.compile of the plain formula.

    python -m pytest benchmarks/bench_soft_count.py --benchmark-only

Eight heat maps of 256 x 256: noise, in which every window has another maximum, and blobs on a dark
ground, as a network makes them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

BATCH, SIDE, POINTS = 8, 256, 100


@pytest.fixture(params=["noise", "blobs"])
def heatmap(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Tensor:
    benchmark.group = f"soft_count, {request.param}"
    draw = torch.Generator().manual_seed(0)
    if request.param == "noise":
        maps = torch.rand(BATCH, 1, SIDE, SIDE, generator=draw)
    else:
        sets = [torch.rand(POINTS, 2, generator=draw) * (SIDE - 1) for _ in range(BATCH)]
        maps = ops.gaussian_heatmap(sets, (SIDE, SIDE), 2.0)
    return maps.requires_grad_()


def step(count: Callable[[Tensor], tuple[Tensor, Tensor]], heatmap: Tensor) -> Tensor:
    heatmap.grad = None
    counts = count(heatmap)[1]
    counts.square().sum().backward()
    return counts.detach()


def measure(
    benchmark: BenchmarkFixture,
    count: Callable[[Tensor], tuple[Tensor, Tensor]],
    heatmap: Tensor,
) -> None:
    for _ in range(5):
        step(count, heatmap)
    counts = benchmark(step, count, heatmap)
    exact = reference.soft_count(heatmap.detach().double())[1]
    torch.testing.assert_close(counts.double(), exact, rtol=1e-4, atol=1e-4)


def test_fastcount(benchmark: BenchmarkFixture, heatmap: Tensor) -> None:
    measure(benchmark, ops.soft_count, heatmap)


def test_torch_compile(benchmark: BenchmarkFixture, heatmap: Tensor) -> None:
    measure(benchmark, torch.compile(reference.soft_count), heatmap)


def test_torch_eager(benchmark: BenchmarkFixture, heatmap: Tensor) -> None:
    measure(benchmark, reference.soft_count, heatmap)
