"""Focal losses: their equations, how they reduce to one another, clamp and normaliser."""

from __future__ import annotations

import math

import pytest
import torch
from focal_maps import DEVICES, LOSSES, check_against_float64, maps, value_and_gradient

from fastcount import ops

POLY = [False, True, "weighted"]


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


@pytest.mark.parametrize(("eps", "passes"), [(1e-3, [True, False]), (1e-4, [False, True])])
def test_the_clamp_is_at_eps_and_not_at_eps_in_float32(eps: float, passes: list[bool]) -> None:
    pred = torch.tensor([eps, 1 - eps])  # float32: on one side of eps or on the other
    held = pred.double()
    assert [bool(held[0] >= eps), bool(held[1] <= 1 - eps)] == passes
    gradient = value_and_gradient(ops.focal_loss, pred, torch.tensor([1.0, 0.0]), eps=eps)[1]
    assert (gradient != 0).tolist() == passes


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 4])
def test_no_gradient_where_the_target_is_met(gamma: float) -> None:
    target = torch.rand(1000, generator=torch.Generator().manual_seed(0)).clamp(0.01, 0.99)
    gradient = value_and_gradient(ops.mask_focal_loss, target, target, gamma=gamma, poly=True)[1]
    assert not gradient.any()


@pytest.mark.parametrize("eps", [0.05, 0.2, 0.45])
@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_a_wide_clamp(name: str, logits: bool, eps: float) -> None:
    pred, target = maps(300, logits=logits)
    for dtype in (torch.float32, torch.float64):
        check_against_float64(
            name, pred.to(dtype), target.to(dtype), from_logits=logits, eps=eps, reduction="none"
        )


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


@pytest.mark.parametrize("gamma", [0, 1, 2])
def test_logits_near_their_target_keep_the_precision_of_float32(gamma: float) -> None:
    """1 - p of a p that was rounded to float32 would be off by 3 % at a logit of 13."""
    logits = torch.linspace(0.5, 13.0, 200)
    target = torch.ones(200)
    options = {"from_logits": True, "gamma": gamma, "normalizer": 1, "reduction": "none"}
    for sign, goal in ((1, target), (-1, 1 - target)):
        ours = ops.focal_loss(sign * logits, goal, **options)
        exact = ops.focal_loss(sign * logits.double(), goal.double(), **options)
        torch.testing.assert_close(ours.double(), exact, rtol=2e-6, atol=0.0)


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
