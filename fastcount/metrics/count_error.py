"""MAE, RMSE, MSE, NAE and bias of counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fastcount.metrics.functional.counts import count_error_from_sums, count_error_sums


class CountError(Metric):
    """Errors of counts over all pictures seen: ``compute()`` gives a dict of float64 scalars.

    Keys ``mae``, ``rmse``, ``mse``, ``nae``, ``bias``, defined in
    :func:`fastcount.metrics.functional.count_error`; all 0 before the first picture.

    >>> error = CountError()
    >>> error.update(torch.tensor([12.0, 0.5]), torch.tensor([10.0, 0.0]))
    >>> error.compute()["mae"]
    tensor(1.2500, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(6, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Counts (B,) and true counts (B,)."""
        self.sums += count_error_sums(pred, target).to(self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        return count_error_from_sums(self.sums)
