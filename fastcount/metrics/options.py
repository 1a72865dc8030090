"""What tells metrics of one class apart that were made with other options."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torchmetrics import Metric


def note_options(metric: Metric, options: Iterable[float]) -> None:
    """Gives ``metric`` a state ``options``, (N,) float64, that no picture changes.

    A ``MetricCollection`` looks at its metrics after the first update and from then on updates
    only one of those whose states are equal. GAME(0) and GAME(3) have equal states after a
    picture that is too full everywhere, and would stay equal.
    """
    values = torch.tensor([float(option) for option in options], dtype=torch.float64)
    metric.add_state("options", values, dist_reduce_fx="max")
