"""Average precision of leaf centres, hits by the percentage of correct keypoints (PCK).

Itzhaky et al., "Leaf counting: multiple scale regression and detection using deep CNNs", 2018,
section 4.1, after Yang and Ramanan 2013.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastcount.metrics.functional.points import check_points
from fastcount.metrics.options import note_options
from fastcount.metrics.ranked_points import RankedPoints


class PckAP(RankedPoints):
    """Average precision of points: a hit is nearer than ``alpha`` * max(w, h) of its plant.

    Predictions are taken from the most confident down; each takes the nearest true point not yet
    taken, and hits where that is within reach. (w, h) are the sides of the box around the whole
    plant. ``compute()`` gives ``ap``, as COCO's over the ranks of all pictures together, and
    ``recall``, the highest reached; both are 1 with nothing to find and nothing found, 0 where
    only one of these holds. Raises ``ValueError`` where ``alpha`` is not above 0.
    """

    def __init__(self, alpha: float = 0.1) -> None:
        if not alpha > 0:
            raise ValueError(f"alpha must be above 0, not {alpha}")
        super().__init__(1)
        self.alpha = alpha
        note_options(self, [alpha])

    def update(
        self, pred: Tensor, scores: Tensor, target: Tensor, *, extent: float | None = None
    ) -> None:
        """One picture: found points (N, 2), their confidences (N,), true points (M, 2).

        ``extent``: max(w, h) of the plant in pixels; None takes the box around the true points,
        which is a little smaller than the plant, and of no extent for a single point.
        """
        true = check_points(target, "target")
        if extent is None:
            sides = true.amax(dim=0) - true.amin(dim=0) if len(true) else torch.zeros(2)
            extent = float(sides.max())
        if not 0 <= extent < float("inf"):
            raise ValueError(f"extent must be a number of pixels, not {extent}")
        # "lower than" in the paper; rank_hits takes its radius in
        radius = np.nextafter(self.alpha * extent, -1.0)
        self.rank(pred, scores, target, np.array([radius]))

    def compute(self) -> dict[str, Tensor]:
        precision, recall = self.precision_recall()
        return {"ap": precision[0], "recall": recall[0]}
