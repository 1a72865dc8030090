"""AP and AR of located points, after RAZ-Net.

Liu et al., Recurrent Attentive Zooming for Joint Crowd Counting and Precise Localization, CVPR
2019, section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from fastcount.metrics.options import note_options
from fastcount.metrics.ranked_points import RankedPoints

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # .5, .55, ..., .95


class LocalizationAP(RankedPoints):
    """Average precision and recall of located points at every ``sigma`` (pixels).

    Predictions are taken from the most confident down; each is held against the nearest true
    point not yet taken, and hits where exp(-d^2 / (2 sigma^2)) >= t, for t = .5, .55, ..., .95.
    ``matching="nearest"`` is the paper's wording taken strictly: against the nearest true point,
    a miss where that is taken. ``compute()`` gives for each sigma, say 5: ``ap_5`` and ``ar_5``
    (means over t), ``ap50_5`` and ``ap75_5`` (at t = .5 and .75); AP as COCO's, over the ranks
    of all pictures together. All are 1 with nothing to find and nothing found, 0 where only one
    of these holds.
    """

    def __init__(
        self,
        sigmas: Sequence[float] = (5.0, 20.0, 40.0),
        *,
        matching: Literal["nearest_free", "nearest"] = "nearest_free",
    ) -> None:
        if not sigmas or not min(sigmas) > 0:
            raise ValueError(f"sigmas must be positive pixels, at least one, not {sigmas}")
        if matching not in ("nearest_free", "nearest"):
            raise ValueError(f"matching must be 'nearest_free' or 'nearest', not {matching!r}")
        super().__init__(len(sigmas) * len(THRESHOLDS))
        self.sigmas, self.matching = tuple(sigmas), matching
        # exp(-d^2 / (2 sigma^2)) >= t  <=>  d <= sigma sqrt(-2 ln t)
        reach = [sigma * math.sqrt(-2 * math.log(t)) for sigma in self.sigmas for t in THRESHOLDS]
        self._radii = np.array(reach)
        note_options(self, [*self.sigmas, matching == "nearest"])

    def update(self, pred: Tensor, scores: Tensor, target: Tensor) -> None:
        """One picture: found points (N, 2), their confidences (N,), true points (M, 2)."""
        free = self.matching == "nearest_free"
        self.rank(pred, scores, target, self._radii, free=free)

    def compute(self) -> dict[str, Tensor]:
        precision, recall = self.precision_recall()
        results = {}
        for number, sigma in enumerate(self.sigmas):
            own = slice(number * len(THRESHOLDS), (number + 1) * len(THRESHOLDS))
            results[f"ap_{sigma:g}"] = precision[own].mean()
            results[f"ar_{sigma:g}"] = recall[own].mean()
            results[f"ap50_{sigma:g}"] = precision[own][0]
            results[f"ap75_{sigma:g}"] = precision[own][THRESHOLDS.index(0.75)]
        return results
