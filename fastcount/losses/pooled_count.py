"""Count errors over windows of several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def pooled_count_loss(
    density: Tensor,  # [B, 1, h, w]
    target: Tensor,  # [B, 1, h, w]
    *,
    windows: Sequence[int] = (2, 5, 10, 40),
    weights: Sequence[float] = (0.25, 0.5, 1.0, 1.0),
    offset: float = 10.0,
) -> Tensor:
    """Sum over windows k of w_k * mean over pictures of sum |pool_k(D) - pool_k(T)| / (N + offset).

    ``pool_k`` adds up k x k cells, those of a window cut by the border too; N is the picture's
    own count in ``target``. A density must be right in place (small windows) and in sum (large
    ones); dividing by the count lets a picture of ten and one of a thousand weigh alike.

    Returns a scalar >= 0. Raises ``ValueError`` for maps of different shapes.
    """
    if density.shape != target.shape or density.ndim != 4:
        raise ValueError(
            f"density, target: need one shape (B, 1, h, w), got {tuple(density.shape)} "
            f"and {tuple(target.shape)}"
        )
    scale = 1.0 / (target.sum(dim=(1, 2, 3)) + offset)
    error = density - target
    total = density.new_zeros(())
    for k, weight in zip(windows, weights, strict=True):
        pooled = F.avg_pool2d(
            error, k, stride=k, ceil_mode=True, divisor_override=1, count_include_pad=False
        )
        total = total + weight * (pooled.abs().sum(dim=(1, 2, 3)) * scale).mean()
    return total
