from __future__ import annotations

import torch
from torch import Tensor


def weighted_smooth_l1(
    pred: Tensor, target: Tensor, *, weight: float = 0.1, reduction: str = "sum"
) -> Tensor:
    """Eq. 4 of the leaf counting paper."""
    compute = torch.float64 if pred.dtype == torch.float64 else torch.float32
    p, t = pred.to(compute), target.to(compute)
    error = (p - t).abs()
    loss = torch.where(error >= 1, error - 0.5, 0.5 * error**2)
    losses = torch.full_like(t, weight).masked_fill(t > 0, 1 - weight) * loss
    return losses.sum() if reduction == "sum" else losses
