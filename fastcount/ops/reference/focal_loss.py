"""The focal losses, equation by equation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def focal_loss(
    pred: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    gamma: float = 2.0,
    from_logits: bool = False,
    eps: float = 1e-6,
    normalizer: float | None = None,
    reduction: str = "sum",
) -> Tensor:
    """Eq. 2."""
    p, t = _probability(pred, from_logits, eps), _valid(target, pred)
    positive = (1 - p) ** gamma * torch.log(p)
    negative = p**gamma * torch.log(1 - p)
    terms = torch.where(t == 1, positive, negative)
    return _reduce(terms, t, alpha, normalizer, reduction)


def heatmap_focal_loss(
    pred: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 4.0,
    gamma: float = 2.0,
    from_logits: bool = False,
    eps: float = 1e-6,
    normalizer: float | None = None,
    reduction: str = "sum",
) -> Tensor:
    """Eq. 3."""
    p, t = _probability(pred, from_logits, eps), _valid(target, pred)
    positive = (1 - p) ** gamma * torch.log(p)
    negative = (1 - t) ** beta * p**gamma * torch.log(1 - p)
    terms = torch.where(t == 1, positive, negative)
    return _reduce(terms, t, alpha, normalizer, reduction)


def mask_focal_loss(
    pred: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 0.5,
    gamma: float = 4.0,
    poly: bool | Literal["weighted"] = False,
    from_logits: bool = False,
    eps: float = 1e-6,
    normalizer: float | None = None,
    reduction: str = "sum",
) -> Tensor:
    """Eq. 6, eq. 7 with ``poly=True``, eq. 7 with its weight on both terms with ``"weighted"``."""
    p, t = _probability(pred, from_logits, eps), _valid(target, pred)
    inside = target > 0 if mask is None else mask != 0
    d = (t - p).abs()
    if poly is False:
        positive = t**beta * d**gamma * torch.log(1 - d)
        negative = p**gamma * torch.log(1 - p)
    else:
        first = t**beta if poly == "weighted" else 1.0
        positive = first * d**gamma * torch.log(1 - d) - t**beta * d ** (gamma + 1)
        negative = p**gamma * torch.log(1 - p) - p ** (gamma + 1)
    terms = torch.where(inside, positive, negative)
    return _reduce(terms, t, alpha, normalizer, reduction)


def _probability(pred: Tensor, from_logits: bool, eps: float) -> Tensor:
    values = pred if pred.dtype == torch.float64 else pred.float()
    return (torch.sigmoid(values) if from_logits else values).clamp(eps, 1 - eps)


def _valid(target: Tensor, pred: Tensor) -> Tensor:
    """The target in the type to compute in, NaN where it is outside [0, 1]."""
    values = target.to(torch.float64 if pred.dtype == torch.float64 else torch.float32)
    return values.masked_fill((values < 0) | (values > 1), torch.nan)


def _reduce(
    terms: Tensor, t: Tensor, alpha: float, normalizer: float | None, reduction: str
) -> Tensor:
    count = (t == 1).sum().clamp(min=1) if normalizer is None else normalizer
    losses = -alpha * torch.where(t.isnan(), t, terms) / count
    return losses.sum() if reduction == "sum" else losses
