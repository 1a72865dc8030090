"""Focal losses on every kind of input: shapes, layouts, dtypes, NaN; the same bits every run."""

from __future__ import annotations

import pytest
import torch
from focal_maps import DEVICES, LOSSES, check_against_float64, maps, value_and_gradient
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcount import ops


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


@pytest.mark.parametrize("count", [511, 512, 513, 16383, 16384, 16385, 40000, 300_000])
def test_lengths_around_a_block(count: int) -> None:
    pred, target = maps(count)
    inside = torch.rand(count, generator=torch.Generator().manual_seed(1)) > 0.5
    for reduction in ("sum", "none"):
        check_against_float64("mask_focal_loss", pred, target, reduction=reduction)
        check_against_float64("mask_focal_loss", pred, target, mask=inside, reduction=reduction)


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


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_same_bits_whatever_the_number_of_threads(reduction: str) -> None:
    pred, target = maps(3, 30000)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3, 5, 1):
            torch.set_num_threads(count)
            results.append(
                value_and_gradient(ops.mask_focal_loss, pred, target, reduction=reduction)
            )
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
