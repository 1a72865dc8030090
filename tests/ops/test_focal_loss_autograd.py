"""Focal losses in autograd and torch.compile, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from focal_maps import LOSSES, maps, value_and_gradient

from fastcount import ops


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name: str, reduction: str, logits: bool) -> None:
    pred, target = maps(30, dtype=torch.float64, logits=logits)
    pred = (pred / 3 if logits else pred.clamp(0.05, 0.95)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: getattr(ops, name)(p, target, from_logits=logits, reduction=reduction), (pred,)
    )


def test_backward_may_run_twice() -> None:
    pred, target = maps(50)
    pred.requires_grad_()
    loss = ops.mask_focal_loss(pred, target)
    (first,) = torch.autograd.grad(loss, pred, retain_graph=True)
    (second,) = torch.autograd.grad(loss, pred)
    assert torch.equal(first, second)


def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    pred, target = maps(50)
    arguments = (target, None, 2, 0, False, 1.0, 0.5, 4.0, 1e-6, None, True)
    assert torch.ops.fastcount.focal_loss(pred, *arguments, False)[2].numel() == 0
    with pytest.raises(RuntimeError, match="keep=False"):
        torch.ops.fastcount.focal_loss(pred.requires_grad_(), *arguments, False)[0].backward()
    with torch.no_grad():
        assert not ops.mask_focal_loss(pred, target).requires_grad


def test_second_derivative_raises() -> None:
    pred, target = maps(20)
    pred.requires_grad_()
    (gradient,) = torch.autograd.grad(ops.focal_loss(pred, target), pred, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_the_target_raises(name: str) -> None:
    pred, target = maps(20)
    with pytest.raises(RuntimeError, match=r"target\.detach"):
        getattr(ops, name)(pred, target.requires_grad_())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pred": [0.5]}, TypeError, "pred must be a tensor"),
        ({"pred": torch.ones(2, dtype=torch.int64)}, TypeError, "pred must be floating point"),
        ({"target": torch.ones(2, dtype=torch.bool)}, TypeError, "target must be floating point"),
        ({"target": torch.ones(3)}, ValueError, r"target must have the shape of pred, \(2,\)"),
        ({"target": torch.ones(2, device="meta")}, ValueError, "target is on meta"),
        ({"mask": torch.ones(1, 2)}, ValueError, "mask must have the shape of pred"),
        ({"mask": True}, TypeError, "mask must be a tensor or None"),
        ({"poly": "printed"}, ValueError, "poly must be"),
        ({"gamma": -1}, ValueError, "gamma must be at least 0"),
        ({"beta": -0.5}, ValueError, "beta must be at least 0"),
        ({"gamma": "2"}, TypeError, "gamma must be a number"),
        ({"alpha": math.nan}, ValueError, "alpha must be finite"),
        ({"eps": 0}, ValueError, "eps must be at least"),
        ({"eps": 0.5}, ValueError, "eps must be below"),
        ({"normalizer": 0}, ValueError, "normalizer must be positive"),
        ({"normalizer": torch.ones(())}, TypeError, "normalizer must be a number"),
        ({"from_logits": "no"}, TypeError, "from_logits must be True or False"),
        ({"reduction": "mean"}, ValueError, "reduction must be one of"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = {"pred": torch.full((2,), 0.5), "target": torch.ones(2), **change}
    with pytest.raises(error, match=words):
        ops.mask_focal_loss(**arguments)


@pytest.mark.parametrize("name", LOSSES)
def test_compile_without_graph_break(name: str) -> None:
    loss = getattr(ops, name)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=True)
    for shape in ((2, 30), (3, 41)):
        pred, target = maps(*shape, logits=True)
        expected = value_and_gradient(loss, pred, target, from_logits=True)
        got = value_and_gradient(compiled, pred, target, from_logits=True)
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])
        assert torch.equal(compiled(pred, target, from_logits=True), expected[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("reduce", [False, True])
def test_opcheck(reduce: bool, keep: bool, dtype: torch.dtype) -> None:
    pred, target = maps(2, 9)
    pred = pred.to(dtype).requires_grad_(keep)
    arguments = (pred, target, target > 0.5, 2, 1, False, 1.0, 0.5, 4.0, 1e-6, None, reduce, keep)
    torch.library.opcheck(torch.ops.fastcount.focal_loss.default, arguments)
    _, weight, slope = (each.detach() for each in torch.ops.fastcount.focal_loss(*arguments))
    if keep:
        grad = torch.ones((), dtype=slope.dtype) if reduce else torch.ones_like(slope)
        torch.library.opcheck(
            torch.ops.fastcount.focal_loss_backward.default, (grad, slope, weight, dtype)
        )


def test_bindings_check_too() -> None:
    pred, target = maps(4)
    with pytest.raises(RuntimeError, match="gamma must not be negative"):
        torch.ops.fastcount.focal_loss(
            pred, target, None, 0, 0, False, 1.0, 0.0, -1.0, 1e-6, None, True, False
        )
    with pytest.raises(RuntimeError, match=r"eps must be in \[1e-30, 0\.5\), got 0"):
        torch.ops.fastcount.focal_loss(
            pred, target, None, 0, 0, False, 1.0, 0.0, 2.0, 0.0, None, True, False
        )
    with pytest.raises(RuntimeError, match="target must have the shape of pred"):
        torch.ops.fastcount.focal_loss(
            pred, target[1:], None, 0, 0, False, 1.0, 0.0, 2.0, 1e-6, None, True, False
        )
