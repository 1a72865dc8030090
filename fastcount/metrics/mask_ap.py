"""AP^r and best overlap of instance masks.

Hariharan et al., Simultaneous Detection and Segmentation, ECCV 2014 (AP^r: average precision with
the overlap of regions); Pont-Tuset and Van Gool, Boosting Object Proposals: From Pascal to COCO,
ICCV 2015 (average best overlap); both as in CountSeg, Cholakkal et al., CVPR 2019, Table 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.metrics.functional.points import average_precision
from fastcount.metrics.list_metric import ListMetric
from fastcount.metrics.options import note_options


class MaskAP(ListMetric):
    """Average precision of instance masks by class, and how well the true ones are covered.

    ``num_classes``: labels are 0 to ``num_classes - 1``. ``thresholds``: intersections over union
    from which on a mask is right. ``compute()`` gives ``map_25``, ``map_50``, ``map_75`` for
    them: in each class predictions are taken from the most confident down, each held against
    the true mask of its picture and class that it overlaps most; it is right if that overlap is
    large enough and no better one has taken that mask. Precision is averaged over 101 recalls, as
    COCO does, and over the classes that occur. ``abo``: for every true mask the largest overlap
    with any prediction of its class, mean over masks, then over the classes that have true masks.

    Where nothing is to be found and nothing was found, all are 1. A class that was predicted but
    is never there adds 0 to the map, and nothing to ``abo``, which is 0 where no class is there.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    hits: list[Tensor]
    labels: list[Tensor]
    truths: Tensor
    overlaps: Tensor

    def __init__(
        self, num_classes: int = 1, *, thresholds: Sequence[float] = (0.25, 0.5, 0.75)
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        if not thresholds or not (min(thresholds) > 0 and max(thresholds) <= 1):
            raise ValueError(f"thresholds must lie in (0, 1], at least one, not {thresholds}")
        self.num_classes, self.thresholds = num_classes, tuple(thresholds)
        for name in ("scores", "hits", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")
        for name in ("truths", "overlaps"):
            zeros = torch.zeros(num_classes, dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")
        note_options(self, self.thresholds)

    def update(
        self,
        pred: Tensor,  # [N, H, W] bool
        scores: Tensor,  # [N]
        target: Tensor,  # [M, H, W] bool
        pred_labels: Tensor | None = None,  # [N] int64
        target_labels: Tensor | None = None,  # [M] int64
    ) -> None:
        """One picture: predicted masks, their confidences, true masks, and the classes of both.

        Classes may be left out where there is one. Raises ``ValueError`` for shapes that do not
        fit, a confidence that is not finite, and an unknown class.
        """
        pred, target = pred.detach().bool(), target.detach().bool()
        if pred.ndim != 3 or target.ndim != 3 or pred.shape[1:] != target.shape[1:]:
            raise ValueError(
                "pred and target must be (N, H, W) and (M, H, W) of one size, not "
                f"{tuple(pred.shape)} and {tuple(target.shape)}"
            )
        if scores.shape != (len(pred),) or not bool(torch.isfinite(scores).all()):
            raise ValueError(f"scores must be ({len(pred)},), all finite")
        pred_labels = self._labels(pred_labels, len(pred), "pred_labels")
        target_labels = self._labels(target_labels, len(target), "target_labels")
        device = self.truths.device
        scores = scores.detach().double().to(device)
        iou = mask_iou(pred, target).to(device)
        iou = torch.where(pred_labels[:, None] == target_labels, iou, 0.0)
        hits = torch.zeros(len(pred), len(self.thresholds), dtype=torch.uint8)
        if len(pred) and len(target):
            best, which = (each.cpu() for each in iou.max(dim=1))  # one after the other, below
            taken = torch.zeros(len(target), len(self.thresholds), dtype=torch.bool)
            edges = torch.tensor(self.thresholds, dtype=torch.float64)
            for i in scores.argsort(descending=True, stable=True).tolist():
                hits[i] = right = (best[i] >= edges) & ~taken[which[i]]
                taken[which[i]] |= right
            self.overlaps.index_add_(0, target_labels, iou.max(dim=0).values)
        self.truths += torch.bincount(target_labels, minlength=self.num_classes)
        self.scores.append(scores)
        self.hits.append(hits.to(device))
        self.labels.append(pred_labels)

    def _labels(self, labels: Tensor | None, number: int, name: str) -> Tensor:
        if labels is None:
            if self.num_classes > 1:
                raise ValueError(f"{name} must be given where there are several classes")
            labels = torch.zeros(number, dtype=torch.int64)
        if labels.shape != (number,):
            raise ValueError(f"{name} must be ({number},), not {tuple(labels.shape)}")
        if number and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise ValueError(f"{name} must lie between 0 and {self.num_classes - 1}")
        return labels.detach().long().to(self.truths.device)

    def nothing(self) -> dict[str, Tensor]:
        return {
            "scores": torch.zeros(0, dtype=torch.float64),
            "hits": torch.zeros(0, len(self.thresholds), dtype=torch.uint8),
            "labels": torch.zeros(0, dtype=torch.int64),
        }

    def compute(self) -> dict[str, Tensor]:
        scores, hits, labels = map(self.joined, ("scores", "hits", "labels"))
        precisions = []
        for number in range(self.num_classes):
            mine, truths = labels == number, int(self.truths[number])
            if truths or bool(mine.any()):
                precisions.append(average_precision(scores[mine], hits[mine], truths)[0])
        one = torch.ones(len(self.thresholds), dtype=torch.float64)
        mean = torch.stack(precisions).mean(dim=0) if precisions else one
        there = self.truths > 0
        covered = (self.overlaps[there] / self.truths[there]).mean()
        nothing = torch.full_like(self.truths[0], float(not precisions))
        results = {
            f"map_{round(100 * edge)}": value
            for edge, value in zip(self.thresholds, mean, strict=True)
        }
        return {**results, "abo": covered if bool(there.any()) else nothing}


def mask_iou(pred: Tensor, target: Tensor) -> Tensor:
    """(N, M) float64 intersection over union of masks (N, H, W) and (M, H, W); 0 of two empty."""
    first, second = pred.flatten(1).double(), target.flatten(1).double()
    both = first @ second.T
    union = first.sum(dim=1)[:, None] + second.sum(dim=1) - both
    return both / union.clamp(min=1)
