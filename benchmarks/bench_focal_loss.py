"""Focal losses, forward and backward, beside torch.compile of the plain formula.

A CenterNet head for eight pictures of 768 x 1024 at stride 4. The target is random, with half the
pixels inside the mask: more work for the powers than the heat map of a crowd gives.
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


@pytest.fixture(scope="module")
def target() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(SHAPE, generator=generator)
    heat = torch.where(heat > 0.5, 2 * heat - 1, torch.zeros_like(heat))
    heat[..., ::16, ::16] = 1
    return heat


@pytest.fixture(params=["probabilities", "logits"])
def options(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> dict[str, Any]:
    benchmark.group = f"mask_focal_loss, {request.param}"
    return {"from_logits": request.param == "logits"}


@pytest.fixture
def pred(options: dict[str, Any]) -> Tensor:
    values = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    return (values if options["from_logits"] else values.sigmoid()).requires_grad_()


def step(
    loss: Callable[..., Tensor], pred: Tensor, target: Tensor, options: dict[str, Any]
) -> Tensor:
    pred.grad = None
    value = loss(pred, target, **options)
    value.backward()
    return value.detach()


def measure(
    benchmark: BenchmarkFixture,
    loss: Callable[..., Tensor],
    pred: Tensor,
    target: Tensor,
    options: dict[str, Any],
) -> None:
    for _ in range(5):
        step(loss, pred, target, options)
    value = benchmark(step, loss, pred, target, options)
    exact = reference.mask_focal_loss(pred.detach().double(), target.double(), **options)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)


def test_fastcount(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, options: dict[str, Any]
) -> None:
    measure(benchmark, ops.mask_focal_loss, pred, target, options)


def test_torch_compile(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, options: dict[str, Any]
) -> None:
    measure(benchmark, torch.compile(reference.mask_focal_loss), pred, target, options)


def test_torch_eager(
    benchmark: BenchmarkFixture, pred: Tensor, target: Tensor, options: dict[str, Any]
) -> None:
    measure(benchmark, reference.mask_focal_loss, pred, target, options)
