"""Maps for the focal losses, and the comparison with the equations, that their tests share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

LOSSES = ["focal_loss", "heatmap_focal_loss", "mask_focal_loss"]
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
