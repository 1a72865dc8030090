"""mRMSE and its relatives, for counts of several classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fastcount.metrics.functional.counts import class_count_error_from_sums, class_count_error_sums
from fastcount.metrics.options import note_options


class ClassCountError(Metric):
    """Errors of counts per class over all pictures seen, averaged over classes.

    ``compute()`` gives ``mrmse``, ``mrmse_nz``, ``m_relrmse`` and ``m_relrmse_nz``, defined in
    :func:`fastcount.metrics.functional.class_count_error`.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    sums: Tensor

    def __init__(self, num_classes: int, *, round_counts: bool = True) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        self.num_classes, self.round_counts = num_classes, round_counts
        zeros = torch.zeros(6, num_classes, dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        note_options(self, [round_counts])

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Counts (B, C) and true counts (B, C)."""
        if pred.ndim == 2 and pred.shape[1] != self.num_classes:
            raise ValueError(f"pred must be (B, {self.num_classes}), not {tuple(pred.shape)}")
        sums = class_count_error_sums(pred, target, round_counts=self.round_counts)
        self.sums += sums.to(self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        return class_count_error_from_sums(self.sums)
