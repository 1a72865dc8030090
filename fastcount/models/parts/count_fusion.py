"""One count out of several estimates of it (Itzhaky et al. 2018, section 3.1.4)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Fusion = Literal["min_variance", "mle", "average", "weighted_median"]
FUSIONS: tuple[str, ...] = get_args(Fusion)


def fuse_counts(
    means: Tensor,  # [B, J]
    log_variances: Tensor | None,  # [B, J]
    fusion: Fusion,
) -> tuple[Tensor, Tensor | None]:
    r"""Fuses J estimates a picture to a count (B,) and its standard deviation (B,).

    ``"min_variance"``, eq. 2: the estimate of the lowest variance, with its own deviation.
    ``"mle"``, eq. 3: the mean with weights 1 / sigma_j^2, most likely were the estimates
    independent Gaussians. ``"average"``: the plain mean. ``"weighted_median"``: the median with
    weights 1 / sigma_j, most likely were they independent Laplacians; the lower of two.

    The estimates are of one picture by one network, so their errors go together. A weighted mean
    is therefore given the deviation sum_j w_j sigma_j, its greatest possible one, and not the
    smaller one of independent estimates; the median is given that of the estimate it takes.

    Without ``log_variances`` there is only the average, and no deviation (None). Raises
    ``ValueError`` for another fusion then, and for an unknown one.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"fusion: need one of {', '.join(FUSIONS)}, got {fusion!r}")
    if log_variances is None:
        if fusion != "average":
            raise ValueError(f"fusion: {fusion!r} needs variances; only 'average' does without")
        return means.mean(dim=1), None
    deviations = torch.exp(0.5 * log_variances)
    if fusion in ("average", "mle"):
        if fusion == "average":
            weights = torch.full_like(means, 1 / means.shape[1])
        else:  # softmax(-s) = (1 / sigma_j^2) / sum_i 1 / sigma_i^2, which cannot overflow
            weights = torch.softmax(-log_variances, dim=1)
        return (weights * means).sum(dim=1), (weights * deviations).sum(dim=1)
    if fusion == "min_variance":
        chosen = log_variances.argmin(dim=1, keepdim=True)
    else:
        order = means.argsort(dim=1)
        below = torch.softmax(-0.5 * log_variances, dim=1).gather(1, order).cumsum(dim=1)
        place = (below >= 0.5).int().argmax(dim=1, keepdim=True)
        chosen = order.gather(1, place)
    return means.gather(1, chosen).squeeze(1), deviations.gather(1, chosen).squeeze(1)
