"""The weighted smooth L1 of leaf heat maps, forward and backward, beside torch.

    python -m pytest benchmarks/bench_weighted_smooth_l1.py --benchmark-only

Eight maps of 256 x 256, a tenth of the pixels marked. The peers: torch.compile of the plain
formula, and torch's own smooth L1 times a map of weights.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

SHAPE = (8, 1, 256, 256)
PIXELS = 8 * 256 * 256

pytestmark = pytest.mark.benchmark(group="weighted_smooth_l1")


@pytest.fixture
def maps() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    marks = torch.rand(SHAPE, generator=draw)
    target = torch.where(marks > 0.9, marks, torch.zeros_like(marks))
    return torch.randn(SHAPE, generator=draw).requires_grad_(), target


def measure(
    benchmark: BenchmarkFixture, loss: Callable[..., Tensor], maps: tuple[Tensor, Tensor]
) -> None:
    pred, target = maps

    def step() -> Tensor:
        pred.grad = None
        value = loss(pred, target)
        value.backward()
        return value.detach()

    for _ in range(5):
        step()
    exact = reference.weighted_smooth_l1(pred.detach().double(), target.double())
    torch.testing.assert_close(benchmark(step).double(), exact, rtol=1e-5, atol=0)


def test_fastcount(benchmark: BenchmarkFixture, maps: tuple[Tensor, Tensor]) -> None:
    benchmark.extra_info |= {"bytes": 20 * PIXELS, "operations": 16 * PIXELS}
    measure(benchmark, ops.weighted_smooth_l1, maps)


def test_torch_compile(benchmark: BenchmarkFixture, maps: tuple[Tensor, Tensor]) -> None:
    measure(benchmark, torch.compile(reference.weighted_smooth_l1), maps)


def test_torch_smooth_l1_loss(benchmark: BenchmarkFixture, maps: tuple[Tensor, Tensor]) -> None:
    def loss(pred: Tensor, target: Tensor) -> Tensor:
        weights = torch.where(target > 0, 0.9, 0.1)
        return (F.smooth_l1_loss(pred, target, reduction="none") * weights).sum()

    measure(benchmark, loss, maps)
