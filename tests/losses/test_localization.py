"""RAZ-Net's losses against the equations, pixel by pixel in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastcount.losses.localization import attention_loss, density_rmse_loss, localization_loss


def _maps(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_density_is_equation_1() -> None:
    density, truth = _maps(0, 2, 1, 3, 5), _maps(1, 2, 1, 3, 5)
    m, n = 3 * 8, 5 * 8
    each = []
    for one, true in zip(density, truth, strict=True):
        total = sum(
            (float(a) - float(b)) ** 2 for a, b in zip(one.view(-1), true.view(-1), strict=True)
        )
        each.append(8 * math.sqrt(total / (m * n)))
    assert float(density_rmse_loss(density, truth)) == pytest.approx(sum(each) / 2, rel=1e-12)


def test_localization_is_equation_3() -> None:
    logits = 3 * _maps(2, 2, 1, 4, 3)
    label = (_maps(3, 2, 1, 4, 3) > 1).double()
    assert 0 < label.sum() < label.numel()
    total = 0.0
    for z, y in zip(logits.view(-1).tolist(), label.view(-1).tolist(), strict=True):
        psi = 1 / (1 + math.exp(-z))
        total += -100 * y * math.log(psi) - (1 - y) * math.log(1 - psi)
    assert float(localization_loss(logits, label)) == pytest.approx(total / 24, rel=1e-9)
    # single precision, and where a plain sigmoid would round to 0 or 1
    far = torch.tensor([[[[200.0, -200.0]]]])
    one = torch.tensor([[[[0.0, 1.0]]]])
    assert float(localization_loss(far, one, gamma=3.0)) == pytest.approx((200 + 3 * 200) / 2)


def test_attention_is_the_cross_entropy() -> None:
    logits, attention = _maps(4, 1, 1, 3, 3), torch.rand(1, 1, 3, 3, dtype=torch.float64)
    total = 0.0
    for z, v in zip(logits.view(-1).tolist(), attention.view(-1).tolist(), strict=True):
        a = 1 / (1 + math.exp(-z))
        total -= v * math.log(a) + (1 - v) * math.log(1 - a)
    assert float(attention_loss(logits, attention)) == pytest.approx(total / 9, rel=1e-9)
    # least where it says what is true
    found = attention.logit().requires_grad_()
    attention_loss(found, attention).backward()
    assert found.grad is not None
    assert found.grad.abs().max() < 1e-12


@pytest.mark.parametrize("loss", [density_rmse_loss, localization_loss, attention_loss])
def test_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    prediction = _maps(5, 2, 1, 3, 4).requires_grad_()
    truth = (_maps(6, 2, 1, 3, 4) > 0).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, truth), prediction)


def test_a_perfect_density_costs_nothing_and_keeps_its_gradient_finite() -> None:
    density = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = density_rmse_loss(density, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert float(loss) == 0
    assert density.grad is not None
    assert torch.equal(density.grad, torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize("loss", [density_rmse_loss, localization_loss, attention_loss])
def test_shapes_must_agree(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=r"got \(1, 1, 4, 4\) and \(1, 1, 4, 5\)"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
