"""The weighted smooth L1: equation, gradient, every kind of input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]


def maps(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=draw, dtype=dtype)
    target = torch.where(target > 0.7, target, torch.zeros_like(target))
    return 1.5 * torch.randn(shape, generator=draw, dtype=dtype), target


def value_and_gradient(loss: Any, pred: Tensor, target: Tensor, **options: Any) -> tuple[Any, Any]:
    leaf = pred.detach().clone().requires_grad_()
    value = loss(leaf, target, **options)
    weights = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype, device=value.device)
    (value * weights.reshape(value.shape) if value.dim() else value).sum().backward()
    return value.detach(), leaf.grad


def test_equation_by_hand() -> None:
    pred = torch.tensor([0.5, 3.0, 0.5, -2.0, 1.0, 0.2])
    target = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.2])
    expected = torch.tensor([0.0125, 0.25, 0.1125, 2.25, 0.05, 0.0])
    torch.testing.assert_close(
        ops.weighted_smooth_l1(pred, target, reduction="none"), expected, rtol=1e-6, atol=1e-7
    )
    torch.testing.assert_close(ops.weighted_smooth_l1(pred, target), expected.sum())


def test_half_a_weight_is_half_of_torch() -> None:
    pred, target = maps(5, 70)
    torch.testing.assert_close(
        ops.weighted_smooth_l1(pred, target, weight=0.5),
        0.5 * torch.nn.functional.smooth_l1_loss(pred, target, reduction="sum"),
    )


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(0, 7), max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    reduction=st.sampled_from(["sum", "none"]),
    weight=st.sampled_from([0.0, 0.1, 0.9]),
    seed=st.integers(0, 1000),
)
def test_any_shape(
    shape: list[int], dtype: torch.dtype, reduction: str, weight: float, seed: int
) -> None:
    pred, target = maps(*shape, seed=seed, dtype=dtype)
    options = {"weight": weight, "reduction": reduction}
    value, gradient = value_and_gradient(ops.weighted_smooth_l1, pred, target, **options)
    true_value, true_gradient = value_and_gradient(
        reference.weighted_smooth_l1, pred.double(), target.double(), **options
    )
    rtol = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(value.double(), true_value, rtol=rtol, atol=1e-12)
    torch.testing.assert_close(gradient.double(), true_gradient, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [3, 1023, 1025, 65537, 140000, 2_200_000])
def test_lengths_around_a_block(count: int, device: str) -> None:
    pred, target = (each.to(device) for each in maps(count))
    for reduction in ("sum", "none"):
        value, gradient = value_and_gradient(
            ops.weighted_smooth_l1, pred, target, reduction=reduction
        )
        expected = value_and_gradient(
            reference.weighted_smooth_l1, pred.double(), target.double(), reduction=reduction
        )
        torch.testing.assert_close(value.double(), expected[0], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(gradient.double(), expected[1], rtol=1e-5, atol=1e-7)


def test_nan_stays_where_it_is() -> None:
    pred, target = maps(10)
    pred[2] = torch.nan
    target[5] = torch.nan
    shares, gradient = value_and_gradient(ops.weighted_smooth_l1, pred, target, reduction="none")
    assert shares.isnan().nonzero().flatten().tolist() == [2, 5]
    assert gradient.isnan().nonzero().flatten().tolist() == [2, 5]


def test_empty_and_non_contiguous() -> None:
    pred = torch.empty(0, 3, requires_grad=True)
    loss = ops.weighted_smooth_l1(pred, torch.empty(0, 3))
    loss.backward()
    assert loss.item() == 0
    pred, target = maps(6, 9)
    expected = ops.weighted_smooth_l1(pred, target)
    assert torch.equal(ops.weighted_smooth_l1(pred.T.contiguous().T, target), expected)
    offset = torch.cat([pred.new_zeros(1), pred.flatten()])[1:].reshape(pred.shape)
    assert torch.equal(ops.weighted_smooth_l1(offset, target), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_predictions_compute_in_float32(dtype: torch.dtype) -> None:
    pred, target = maps(3, 50)
    half = pred.to(dtype)
    value, gradient = value_and_gradient(ops.weighted_smooth_l1, half, target)
    wide = value_and_gradient(ops.weighted_smooth_l1, half.float(), target)
    assert torch.equal(value, wide[0])
    assert torch.equal(gradient, wide[1].to(dtype))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_same_bits_whatever_the_number_of_threads(reduction: str) -> None:
    pred, target = maps(5, 50000)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(
                value_and_gradient(ops.weighted_smooth_l1, pred, target, reduction=reduction)
            )
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_gradcheck(reduction: str) -> None:
    pred, target = maps(25, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda p: ops.weighted_smooth_l1(p, target, reduction=reduction), (pred.requires_grad_(),)
    )


def test_gradients_that_are_missing_raise() -> None:
    pred, target = maps(8)
    pred.requires_grad_()
    (gradient,) = torch.autograd.grad(ops.weighted_smooth_l1(pred, target), pred, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()
    with pytest.raises(RuntimeError, match=r"target\.detach"):
        ops.weighted_smooth_l1(pred, target.requires_grad_())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": torch.ones(3)}, ValueError, "target must have the shape of pred"),
        ({"weight": 1.0}, ValueError, "weight must be below 1"),
        ({"weight": -0.1}, ValueError, "weight must be at least 0"),
        ({"reduction": "mean"}, ValueError, "reduction must be one of"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ops.weighted_smooth_l1(**{"pred": torch.ones(2), "target": torch.ones(2), **change})


def test_compile_without_graph_break() -> None:
    compiled = torch.compile(
        ops.weighted_smooth_l1, backend="aot_eager", fullgraph=True, dynamic=True
    )
    for shape in ((2, 30), (3, 41)):
        pred, target = maps(*shape)
        got = value_and_gradient(compiled, pred, target)
        expected = value_and_gradient(ops.weighted_smooth_l1, pred, target)
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])


@pytest.mark.parametrize("reduce", [False, True])
def test_opcheck(reduce: bool) -> None:
    pred, target = maps(2, 9)
    pred.requires_grad_()
    torch.library.opcheck(
        torch.ops.fastcount.weighted_smooth_l1.default, (pred, target, 0.1, reduce)
    )
    grad = torch.ones(()) if reduce else torch.ones_like(target)
    torch.library.opcheck(
        torch.ops.fastcount.weighted_smooth_l1_backward.default, (grad, pred.detach(), target, 0.1)
    )
