"""DiC, |DiC|, agreement and MSE of leaf counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fastcount.metrics.functional.counts import count_agreement_from_sums, count_agreement_sums
from fastcount.metrics.options import note_options


class CountAgreement(Metric):
    """The leaf counting challenge's measures over all pictures seen.

    ``compute()`` gives ``dic``, ``dic_std``, ``abs_dic``, ``abs_dic_std``, ``agreement`` (per
    cent) and ``mse``, defined in :func:`fastcount.metrics.functional.count_agreement`.
    """

    is_differentiable = False
    full_state_update = False
    sums: Tensor

    def __init__(self, *, round_counts: bool = True) -> None:
        super().__init__()
        self.round_counts = round_counts
        self.add_state("sums", torch.zeros(5, dtype=torch.float64), dist_reduce_fx="sum")
        note_options(self, [round_counts])

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Counts (B,) and true counts (B,)."""
        sums = count_agreement_sums(pred, target, round_counts=self.round_counts)
        self.sums += sums.to(self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        return count_agreement_from_sums(self.sums)
