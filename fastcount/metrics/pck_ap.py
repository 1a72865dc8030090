"""Average precision of leaf centres, hits by the percentage of correct keypoints (PCK).

Itzhaky et al., "Leaf counting: multiple scale regression and detection using deep CNNs", 2018,
section 4.1, after Yang and Ramanan 2013.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastcount.metrics.functional.points import average_precision, check_points, rank_hits
from fastcount.metrics.list_metric import ListMetric


class PckAP(ListMetric):
    """Average precision of points: a hit is nearer than ``alpha`` * max(w, h) of its plant.

    Predictions are taken from the most confident down; each takes the nearest true point not yet
    taken, and hits where that is within reach. (w, h) are the sides of the box around the whole
    plant. ``compute()`` gives ``ap``, as COCO's over the ranks of all pictures together, and
    ``recall``, the highest reached; both are 1 with nothing to find and nothing found, 0 where
    only one of these holds. Raises ``ValueError`` where ``alpha`` is not above 0.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    hits: list[Tensor]
    truths: Tensor

    def __init__(self, alpha: float = 0.1) -> None:
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"alpha must be above 0, not {alpha}")
        self.alpha = alpha
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("hits", [], dist_reduce_fx="cat")
        self.add_state("truths", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self, pred: Tensor, scores: Tensor, target: Tensor, *, extent: float | None = None
    ) -> None:
        """One picture: found points (N, 2), their confidences (N,), true points (M, 2).

        ``extent``: max(w, h) of the plant in pixels; None takes the box around the true points,
        which is a little smaller than the plant, and of no extent for a single point.
        """
        true = check_points(target, "target")
        if scores.shape != (len(check_points(pred, "pred")),):
            raise ValueError(f"scores must be ({len(pred)},), not {tuple(scores.shape)}")
        if not bool(torch.isfinite(scores).all()):
            raise ValueError("scores holds a value that is not finite")
        if extent is None:
            sides = true.amax(dim=0) - true.amin(dim=0) if len(true) else torch.zeros(2)
            extent = float(sides.max())
        if not 0 <= extent < float("inf"):
            raise ValueError(f"extent must be a number of pixels, not {extent}")
        # "lower than" in the paper; rank_hits takes its radius in
        radius = np.nextafter(self.alpha * extent, -1.0)
        hits = rank_hits(pred, scores, target, np.array([radius]), free=True)
        self.scores.append(scores.detach().double().to(self.truths.device))
        as_bytes = torch.from_numpy(hits).to(torch.uint8)  # bool cannot be gathered by NCCL
        self.hits.append(as_bytes.to(self.truths.device))
        self.truths += len(target)

    def nothing(self) -> dict[str, Tensor]:
        return {
            "scores": torch.zeros(0, dtype=torch.float64),
            "hits": torch.zeros(0, 1, dtype=torch.uint8),
        }

    def compute(self) -> dict[str, Tensor]:
        precision, recall = average_precision(
            self.joined("scores"), self.joined("hits"), int(self.truths)
        )
        return {"ap": precision[0], "recall": recall[0]}
