"""Focal losses: equations, gradients, reductions to one another, and every kind of input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

LOSSES = ["focal_loss", "heatmap_focal_loss", "mask_focal_loss"]
POLY = [False, True, "weighted"]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]


def maps(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32, logits: bool = False
) -> tuple[Tensor, Tensor]:
    """A prediction and a heat map: half background, some centres, some values of every size."""
    draw = torch.Generator().manual_seed(seed)
    size = math.prod(shape)
    target = torch.rand(size, generator=draw, dtype=dtype)
    target[torch.rand(size, generator=draw) < 0.5] = 0
    target[torch.rand(size, generator=draw) < 0.1] = 1
    pred = torch.rand(size, generator=draw, dtype=dtype)
    ends = torch.rand(size, generator=draw)
    pred = torch.where(ends < 0.1, pred * 1e-5, torch.where(ends > 0.9, 1 - pred * 1e-5, pred))
    if logits:
        pred = torch.randn(size, generator=draw, dtype=dtype) * 6
    return pred.reshape(shape), target.reshape(shape)


def value_and_gradient(
    loss: Callable[..., Tensor], pred: Tensor, target: Tensor, **options: Any
) -> tuple[Tensor, Tensor]:
    leaf = pred.detach().clone().requires_grad_()
    value = loss(leaf, target, **options)
    weights = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype, device=value.device)
    (value * weights.reshape(value.shape) if value.dim() else value).sum().backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def check_against_float64(name: str, pred: Tensor, target: Tensor, **options: Any) -> None:
    value, gradient = value_and_gradient(getattr(ops, name), pred, target, **options)
    true_value, true_gradient = value_and_gradient(
        getattr(reference, name), pred.double(), target.double(), **options
    )
    exact = pred.dtype == torch.float64
    torch.testing.assert_close(value.double(), true_value, rtol=1e-7 if exact else 1e-5, atol=1e-12)
    # A sigmoid rounded to float32 is off by 6e-8: nothing near its target can be relative to that.
    largest = float(true_gradient.abs().max()) if pred.numel() else 0.0
    atol = 1e-6 * largest if options.get("from_logits") and not exact else 1e-30
    torch.testing.assert_close(
        gradient.double(), true_gradient, rtol=1e-8 if exact else 1e-5, atol=atol
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("device", DEVICES)
def test_value_and_gradient_equal_the_equations_in_float64(
    device: str, name: str, logits: bool, dtype: torch.dtype
) -> None:
    pred, target = maps(3, 700, dtype=dtype, logits=logits)
    for reduction in ("sum", "none"):
        check_against_float64(
            name, pred.to(device), target.to(device), from_logits=logits, reduction=reduction
        )


@pytest.mark.parametrize("poly", POLY)
@pytest.mark.parametrize("gamma", [0, 1, 1.5, 2, 3, 4.5, 5, 7, 2.7])
@pytest.mark.parametrize("beta", [0, 0.5, 1, 4, 0.37])
def test_exponents(beta: float, gamma: float, poly: bool | str) -> None:
    pred, target = maps(2, 150)
    options = {"beta": beta, "gamma": gamma, "poly": poly}
    check_against_float64("mask_focal_loss", pred, target, **options)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(0, 7), max_size=4),
    name=st.sampled_from(LOSSES),
    logits=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    reduction=st.sampled_from(["sum", "none"]),
    normalizer=st.sampled_from([None, 0.5, 40.0]),
    seed=st.integers(0, 1000),
)
def test_any_shape(
    shape: list[int],
    name: str,
    logits: bool,
    dtype: torch.dtype,
    reduction: str,
    normalizer: float | None,
    seed: int,
) -> None:
    pred, target = maps(*shape, seed=seed, dtype=dtype, logits=logits)
    options = {"from_logits": logits, "reduction": reduction, "normalizer": normalizer}
    check_against_float64(name, pred, target, alpha=0.7, **options)


@pytest.mark.parametrize("count", [511, 512, 513, 16383, 16384, 16385, 40000])
def test_lengths_around_a_block(count: int) -> None:
    pred, target = maps(count)
    check_against_float64("mask_focal_loss", pred, target)


def test_equations_by_hand() -> None:
    p, t = 0.3, 0.8
    pred, target = torch.tensor([p], dtype=torch.float64), torch.tensor([t], dtype=torch.float64)
    d = t - p
    first, weight = -(d**4) * math.log(1 - d), math.sqrt(t)
    assert ops.focal_loss(pred, torch.ones_like(target)).item() == pytest.approx(
        -(0.7**2) * math.log(0.3)
    )
    assert ops.focal_loss(pred, target * 0).item() == pytest.approx(-(0.3**2) * math.log(0.7))
    assert ops.heatmap_focal_loss(pred, target).item() == pytest.approx(
        -(0.2**4) * 0.3**2 * math.log(0.7)
    )
    assert ops.mask_focal_loss(pred, target).item() == pytest.approx(weight * first)
    assert ops.mask_focal_loss(pred, target, poly=True).item() == pytest.approx(
        first + weight * d**5
    )
    assert ops.mask_focal_loss(pred, target, poly="weighted").item() == pytest.approx(
        weight * (first + d**5)
    )
    nowhere = torch.zeros_like(target)
    assert ops.mask_focal_loss(pred, target, mask=nowhere, poly=True).item() == pytest.approx(
        -(0.3**4) * math.log(0.7) + 0.3**5
    )


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("gamma", [2, 3.3])
def test_all_three_are_one_on_a_binary_target(gamma: float, logits: bool) -> None:
    pred, target = maps(5, 333, logits=logits)
    target = (target == 1).float()
    options = {"gamma": gamma, "from_logits": logits}
    plain = value_and_gradient(ops.focal_loss, pred, target, **options)
    for other in (ops.heatmap_focal_loss, ops.mask_focal_loss):
        for beta in (0, 0.5, 4):
            same = value_and_gradient(other, pred, target, beta=beta, **options)
            assert torch.equal(plain[0], same[0])
            assert torch.equal(plain[1], same[1])


def test_mask_at_the_key_points_gives_the_heat_map_loss() -> None:
    pred, target = maps(5, 333)
    centers = target == 1
    mask = value_and_gradient(ops.mask_focal_loss, pred, target, mask=centers, gamma=2)
    heat = value_and_gradient(ops.heatmap_focal_loss, pred, target, beta=0, gamma=2)
    plain = value_and_gradient(ops.focal_loss, pred, target, gamma=2)
    for value, gradient in (heat, plain):
        assert torch.equal(mask[0], value)
        assert torch.equal(mask[1], gradient)
    # With beta > 0 the two agree wherever the target is 0 or 1, and only there.
    heat_map = ops.heatmap_focal_loss(pred, target, reduction="none")
    masked = ops.mask_focal_loss(pred, target, mask=centers, gamma=2, reduction="none")
    binary = (target == 0) | (target == 1)
    assert torch.equal(heat_map[binary], masked[binary])
    assert (heat_map[~binary] < masked[~binary]).all()


def test_mask_may_be_given() -> None:
    pred, target = maps(4, 300)
    default = ops.mask_focal_loss(pred, target)
    assert torch.equal(default, ops.mask_focal_loss(pred, target, mask=target > 0))
    assert torch.equal(default, ops.mask_focal_loss(pred, target, mask=(target > 0).float()))
    inside = torch.rand(4, 300, generator=torch.Generator().manual_seed(1)) > 0.5
    check_against_float64("mask_focal_loss", pred, target, mask=inside)
    check_against_float64("mask_focal_loss", pred, target, mask=inside, poly=True, beta=0)


def test_no_gradient_where_the_clamp_acts() -> None:
    pred = torch.tensor([0.0, 1.0, -3.0, 2.0, 1e-7, 1 - 1e-7, 0.5], requires_grad=True)
    target = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    losses = ops.focal_loss(pred, target, normalizer=1, reduction="none")
    losses.sum().backward()
    assert pred.grad is not None
    assert torch.equal(pred.grad != 0, torch.tensor([False] * 6 + [True]))
    clamped = -math.log(1e-6) * (1 - 1e-6) ** 2
    torch.testing.assert_close(losses[:6], torch.full((6,), clamped).detach())


def test_logits_far_out_are_stable() -> None:
    logits = torch.tensor([-1e4, -100.0, -13.0, 13.0, 100.0, 1e4, -torch.inf, torch.inf])
    target = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    check_against_float64("focal_loss", logits, target, from_logits=True, reduction="none")
    # A small eps leaves room for what a float32 probability cannot hold: 1 - p = exp(-40).
    far = torch.tensor([40.0, -40.0], requires_grad=True)
    loss = ops.focal_loss(
        far, torch.tensor([0.0, 1.0]), from_logits=True, eps=1e-25, normalizer=1, reduction="none"
    )
    torch.testing.assert_close(loss.detach(), torch.full((2,), 40.0))
    loss.sum().backward()
    torch.testing.assert_close(far.grad, torch.tensor([1.0, -1.0]))


def test_normalizer() -> None:
    pred, target = maps(2, 400)
    total = ops.focal_loss(pred, target, normalizer=1.0)
    centers = int((target == 1).sum())
    assert centers > 1
    torch.testing.assert_close(ops.focal_loss(pred, target), total / centers)
    torch.testing.assert_close(ops.focal_loss(pred, target, normalizer=8, alpha=2), total / 4)
    nothing = torch.zeros_like(target)
    assert torch.equal(ops.focal_loss(pred, nothing), ops.focal_loss(pred, nothing, normalizer=1.0))


@pytest.mark.parametrize("name", LOSSES)
def test_reduction_none_are_the_shares(name: str) -> None:
    pred, target = maps(2, 3, 41)
    loss = getattr(ops, name)
    shares = loss(pred, target, reduction="none")
    assert shares.shape == pred.shape
    torch.testing.assert_close(shares.sum(), loss(pred, target))


@pytest.mark.parametrize("name", LOSSES)
def test_non_contiguous_input(name: str) -> None:
    pred, target = maps(6, 8, 10)
    loss = getattr(ops, name)
    expected = value_and_gradient(loss, pred, target)
    wide = torch.stack([pred, pred + 1], -1)
    value, gradient = value_and_gradient(lambda p, t: loss(p[..., 0], t), wide, target)
    assert torch.equal(value, expected[0])
    assert torch.equal(gradient[..., 0], expected[1])
    swapped = value_and_gradient(
        loss, pred.transpose(0, 2).contiguous().transpose(0, 2), target.mT.contiguous().mT
    )
    assert torch.equal(swapped[0], expected[0])
    offset = torch.cat([target.new_zeros(1), target.flatten()])[1:].reshape(target.shape)
    assert torch.equal(loss(pred, offset), expected[0])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("device", DEVICES)
def test_empty(device: str, name: str) -> None:
    pred = torch.empty(2, 0, 4, device=device, requires_grad=True)
    loss = getattr(ops, name)(pred, torch.empty(2, 0, 4, device=device))
    assert loss.item() == 0
    loss.backward()
    assert pred.grad is not None
    assert pred.grad.shape == (2, 0, 4)


@pytest.mark.parametrize("gamma", [0, 2, 2.5])
@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_nan_stays_where_it_is(name: str, logits: bool, gamma: float) -> None:
    pred, target = maps(40, logits=logits)
    pred[3] = torch.nan
    target[7] = torch.nan
    target[11] = 1.5
    target[13] = -0.1
    loss = getattr(ops, name)
    options = {"from_logits": logits, "gamma": gamma}
    shares, gradient = value_and_gradient(loss, pred, target, reduction="none", **options)
    wrong = torch.zeros(40, dtype=torch.bool)
    wrong[[3, 7, 11, 13]] = True
    assert torch.equal(shares.isnan(), wrong)
    assert torch.equal(gradient.isnan(), wrong)
    assert loss(pred, target, **options).isnan()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_predictions_compute_in_float32(dtype: torch.dtype, device: str) -> None:
    pred, target = maps(3, 321, logits=True)
    target = target.to(device)
    half = pred.to(device, dtype)
    value, gradient = value_and_gradient(ops.mask_focal_loss, half, target, from_logits=True)
    wide, wide_gradient = value_and_gradient(
        ops.mask_focal_loss, half.float(), target, from_logits=True
    )
    assert value.dtype == torch.float32
    assert torch.equal(value, wide)
    assert torch.equal(gradient, wide_gradient.to(dtype))
    coarse = target.to(dtype)
    assert torch.equal(
        ops.mask_focal_loss(half, coarse, from_logits=True),
        ops.mask_focal_loss(half.float(), coarse.float(), from_logits=True),
    )


def test_autocast_changes_nothing() -> None:
    pred, target = maps(3, 100, logits=True)
    expected = ops.mask_focal_loss(pred, target, from_logits=True)
    weight = torch.eye(100, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ops.mask_focal_loss(pred, target, from_logits=True), expected)
        output = pred @ weight
        assert output.dtype == torch.bfloat16
        loss = ops.mask_focal_loss(output, target, from_logits=True)
    loss.backward()
    assert loss.dtype == torch.float32
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_same_bits_whatever_the_number_of_threads() -> None:
    pred, target = maps(3, 30000)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3, 5, 1):
            torch.set_num_threads(count)
            results.append(value_and_gradient(ops.mask_focal_loss, pred, target))
    finally:
        torch.set_num_threads(threads)
    for value, gradient in results[1:]:
        assert torch.equal(value, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [1, 5, 4099, 20001])
def test_same_bits_every_run_in_any_order(count: int, device: str) -> None:
    pred, target = (each.to(device) for each in maps(count))
    first = value_and_gradient(ops.mask_focal_loss, pred, target)
    again = value_and_gradient(ops.mask_focal_loss, pred, target)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    check_against_float64("mask_focal_loss", pred, target)


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
    _, weight, slope = torch.ops.fastcount.focal_loss(*arguments)
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
    with pytest.raises(RuntimeError, match="target must have the shape of pred"):
        torch.ops.fastcount.focal_loss(
            pred, target[1:], None, 0, 0, False, 1.0, 0.0, 2.0, 1e-6, None, True, False
        )
