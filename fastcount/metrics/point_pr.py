"""Precision, recall and F1 of points at fixed radii."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from fastcount.metrics.functional.points import point_pr_from_sums, point_pr_sums
from fastcount.metrics.options import note_options


class PointPR(Metric):
    """Precision, recall and F1 of found points over all pictures seen, one-to-one.

    ``radii``: how far a point may be from what it stands for, in pixels. ``compute()`` gives
    ``precision``, ``recall`` and ``f1``, (R,) each (a scalar for one radius, as torchmetrics
    does), of the pooled pictures; see
    :func:`fastcount.metrics.functional.point_pr` for empty sets. True points outside their
    picture are misses unless the caller leaves them out.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    sums: Tensor

    def __init__(self, radii: Sequence[float] = (4.0, 8.0, 16.0)) -> None:
        super().__init__()
        self.radii = tuple(float(radius) for radius in radii)
        if not self.radii or not min(self.radii) > 0:
            raise ValueError(f"radii must be positive pixels, at least one, not {radii}")
        zeros = torch.zeros(len(self.radii), 3, dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        note_options(self, self.radii)

    def update(self, pred: Tensor, target: Tensor) -> None:
        """One picture: found points (N, 2) and true points (M, 2)."""
        self.sums += point_pr_sums(pred, target, self.radii).to(self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        return point_pr_from_sums(self.sums)
