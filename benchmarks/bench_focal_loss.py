"""Focal losses, forward and backward, beside torch.compile of the plain formula.

    python -m pytest benchmarks/bench_focal_loss.py --benchmark-only

A CenterNet head for eight pictures of 768 x 1024 at stride 4. The target is random, with half the
pixels inside the mask: more work for the powers than the heat map of a crowd gives. torchvision's
focal loss of logits is a peer of the binary one. The backward pass alone is held against a plain
product in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

SHAPE = (8, 1, 192, 256)
PIXELS = 8 * 192 * 256
#: Of the formulas in csrc/math, forward and backward, without and with a sigmoid.
OPERATIONS = {False: 66, True: 92}

Loss = Callable[..., Tensor]


@pytest.fixture(scope="module")
def target() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(SHAPE, generator=generator)
    heat = torch.where(heat > 0.5, 2 * heat - 1, torch.zeros_like(heat))
    heat[..., ::16, ::16] = 1
    return heat


@pytest.fixture(
    params=[
        ("mask_focal_loss", False),
        ("mask_focal_loss", True),
        ("heatmap_focal_loss", True),
        ("focal_loss", True),
    ],
    ids=lambda case: f"{case[0]}-{'logits' if case[1] else 'probabilities'}",
)
def case(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> tuple[str, bool]:
    name, logits = request.param
    benchmark.group = f"{name}, {'logits' if logits else 'probabilities'}"
    return name, logits


@pytest.fixture
def pred(case: tuple[str, bool]) -> Tensor:
    values = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    return (values if case[1] else values.sigmoid()).requires_grad_()


def step(loss: Loss, pred: Tensor, target: Tensor, options: dict[str, Any]) -> Tensor:
    pred.grad = None
    value = loss(pred, target, **options)
    value.backward()
    return value.detach()


def measure(
    benchmark: BenchmarkFixture, loss: Loss, pred: Tensor, target: Tensor, case: tuple[str, bool]
) -> None:
    options = {"from_logits": case[1]}
    for _ in range(5):
        step(loss, pred, target, options)
    value = benchmark(step, loss, pred, target, options)
    exact = getattr(reference, case[0])(pred.detach().double(), target.double(), **options)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)


def test_fastcount(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, case: tuple[str, bool]
) -> None:
    benchmark.extra_info |= {"bytes": 20 * PIXELS, "operations": OPERATIONS[case[1]] * PIXELS}
    measure(benchmark, getattr(ops, case[0]), pred, target, case)


def test_torch_compile(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, case: tuple[str, bool]
) -> None:
    measure(benchmark, torch.compile(getattr(reference, case[0])), pred, target, case)


def test_torch_eager(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, case: tuple[str, bool]
) -> None:
    measure(benchmark, getattr(reference, case[0]), pred, target, case)


def test_torchvision(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, case: tuple[str, bool]
) -> None:
    if case[0] != "focal_loss":
        pytest.skip(f"torchvision has no {case[0]}")
    vision = pytest.importorskip("torchvision.ops")
    centres = (target == 1).float()

    def loss(pred: Tensor, target: Tensor, from_logits: bool) -> Tensor:
        summed: Tensor = vision.sigmoid_focal_loss(pred, centres, -1, 2, "sum")
        return summed / centres.sum()

    measure(benchmark, loss, pred, target, case)


@pytest.fixture
def held(benchmark: BenchmarkFixture) -> tuple[Tensor, Tensor, Tensor]:
    benchmark.group = "focal losses, backward alone"
    draw = torch.Generator().manual_seed(0)
    return torch.tensor(2.0), torch.randn(SHAPE, generator=draw), torch.tensor(0.01)


def test_backward_fastcount(
    benchmark: BenchmarkFixture, held: tuple[Tensor, Tensor, Tensor]
) -> None:
    benchmark.extra_info |= {"bytes": 8 * PIXELS, "operations": PIXELS}
    given = benchmark(torch.ops.fastcount.focal_loss_backward, *held, torch.float32)
    torch.testing.assert_close(given, held[0] * held[1] * held[2])


def test_backward_torch_product(
    benchmark: BenchmarkFixture, held: tuple[Tensor, Tensor, Tensor]
) -> None:
    grad, slope, weight = held
    product = benchmark(lambda: slope * (grad * weight))
    ours = torch.ops.fastcount.focal_loss_backward(*held, torch.float32)
    torch.testing.assert_close(product, ours)
