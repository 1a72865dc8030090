"""What metrics have in common that rank the points found in all pictures by their confidence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcount.metrics.functional.points import average_precision, check_points, rank_hits
from fastcount.metrics.list_metric import ListMetric


class RankedPoints(ListMetric):
    """Keeps each found point's confidence, and whether it is a hit at each of ``number`` radii."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    hits: list[Tensor]
    truths: Tensor

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("hits", [], dist_reduce_fx="cat")
        self.add_state("truths", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def rank(
        self,
        pred: Tensor,  # [N, 2]
        scores: Tensor,  # [N]
        target: Tensor,  # [M, 2]
        radii: NDArray[np.float64],  # [R]
        *,
        free: bool = True,
    ) -> None:
        """Adds one picture; ``free`` as for
        :func:`fastcount.metrics.functional.points.rank_hits`.

        Raises ``ValueError`` for points or scores of another shape, or not finite.
        """
        check_points(target, "target")
        if scores.shape != (len(check_points(pred, "pred")),):
            raise ValueError(f"scores must be ({len(pred)},), not {tuple(scores.shape)}")
        if not bool(torch.isfinite(scores).all()):
            raise ValueError("scores holds a value that is not finite")
        hits = rank_hits(pred, scores, target, radii, free=free)
        self.scores.append(scores.detach().double().to(self.truths.device))
        as_bytes = torch.from_numpy(hits).to(torch.uint8)  # bool cannot be gathered by NCCL
        self.hits.append(as_bytes.to(self.truths.device))
        self.truths += len(target)

    def nothing(self) -> dict[str, Tensor]:
        hits = torch.zeros(0, self._number, dtype=torch.uint8)
        return {"scores": torch.zeros(0, dtype=torch.float64), "hits": hits}

    def precision_recall(self) -> tuple[Tensor, Tensor]:
        """Average precision and highest recall, (R,) each, of all pictures together."""
        return average_precision(self.joined("scores"), self.joined("hits"), int(self.truths))
