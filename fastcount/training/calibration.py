"""One factor that takes the systematic error out of a trained model's counts, one for their std.

Absolute errors are least at the median, and where objects are few and hard to see the median of
what may be there is below its mean: models trained so count too few. A single factor, chosen on
the validation pictures, mends that without touching where things are seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def best_factor(sets: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The f that minimises the mean over sets of mean |f c - t| / max(mean t, 10).

    ``sets``: counted c and true t, each (N,), a set each; the weighting is that of ``val_mae``.
    The minimum of a sum of w_i |f c_i - t_i| is the median of t_i / c_i, weighted by w_i c_i.
    Returns 1 where nothing was counted anywhere.
    """
    ratios, weights = [], []
    for counted, truth in sets:
        counted, truth = counted.double(), truth.double()
        seen = counted > 0
        scale = len(counted) * float(truth.mean().clamp_min(10.0))
        ratios.append(truth[seen] / counted[seen])
        weights.append(counted[seen] / scale)
    ratio, weight = torch.cat(ratios), torch.cat(weights)
    if not len(ratio):
        return 1.0
    order = ratio.argsort()
    below = weight[order].cumsum(0)
    return float(ratio[order][int(torch.searchsorted(below, below[-1] / 2))])


def best_std_factor(counted: Tensor, std: Tensor, truth: Tensor) -> float:
    """The f that makes f std (N,) > 0 most likely, the errors c - t (N,) being Gaussian.

    The root of the mean of ((c - t) / std)^2. Returns 1 where no picture is given or all counts
    are exact.
    """
    if not len(truth):
        return 1.0
    factor = float(((counted - truth).double() / std.double()).square().mean().sqrt())
    return factor or 1.0
