"""The soft count, forward and backward, beside torch.compile of the plain formula.

    python -m pytest benchmarks/bench_soft_count.py --benchmark-only

Eight heat maps of 256 x 256: noise, in which every window has another maximum, and blobs on a dark
ground, as a network makes them. The spatial softmax, which it is made of, likewise.
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
PIXELS = BATCH * SIDE * SIDE
#: Of csrc/math and csrc/cpu, forward and backward.
OPERATIONS = {"soft_count": 144, "spatial_softmax": 64}

Operator = Callable[[Tensor], Tensor]


@pytest.fixture(params=["noise", "blobs"])
def heatmap(request: pytest.FixtureRequest) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    if request.param == "noise":
        maps = torch.rand(BATCH, 1, SIDE, SIDE, generator=draw)
    else:
        sets = [torch.rand(POINTS, 2, generator=draw) * (SIDE - 1) for _ in range(BATCH)]
        maps = ops.gaussian_heatmap(sets, (SIDE, SIDE), 2.0)
    return maps.requires_grad_()


@pytest.fixture(params=["soft_count", "spatial_softmax"])
def name(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> str:
    content = "noise" if "noise" in request.node.name else "blobs"
    benchmark.group = f"{request.param}, {content}"
    return str(request.param)


def step(name: str, operator: Callable[[Tensor], object], heatmap: Tensor) -> Tensor:
    heatmap.grad = None
    result = operator(heatmap)
    counts = result[1] if isinstance(result, tuple) else result
    assert isinstance(counts, Tensor)
    counts.square().sum().backward()
    return counts.detach()


def measure(
    benchmark: BenchmarkFixture, name: str, operator: Callable[[Tensor], object], heatmap: Tensor
) -> None:
    for _ in range(5):
        step(name, operator, heatmap)
    counts = benchmark(step, name, operator, heatmap)
    exact = getattr(reference, name)(heatmap.detach().double())
    exact = exact[1] if isinstance(exact, tuple) else exact
    torch.testing.assert_close(counts.double(), exact, rtol=1e-4, atol=1e-4)


def test_fastcount(benchmark: BenchmarkFixture, name: str, heatmap: Tensor) -> None:
    benchmark.extra_info |= {"bytes": 20 * PIXELS, "operations": OPERATIONS[name] * PIXELS}
    measure(benchmark, name, getattr(ops, name), heatmap)


def test_torch_compile(benchmark: BenchmarkFixture, name: str, heatmap: Tensor) -> None:
    measure(benchmark, name, torch.compile(getattr(reference, name)), heatmap)


def test_torch_eager(benchmark: BenchmarkFixture, name: str, heatmap: Tensor) -> None:
    measure(benchmark, name, getattr(reference, name), heatmap)
