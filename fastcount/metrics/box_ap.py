"""COCO's average precision of boxes, however many there are.

Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

_ALL_AREAS = 0


class BoxAP(MeanAveragePrecision):
    """torchmetrics' ``MeanAveragePrecision`` of boxes without its limit of 100 a picture.

    ``update(preds, target)`` takes for each picture ``{"boxes": (N, 4) x1, y1, x2, y2, "scores":
    (N,), "labels": (N,) int64}`` and ``{"boxes", "labels"}``. COCO ranks all detections, so those
    too weak to count belong in as well. ``compute()`` gives ``ap``, the mean over intersections
    over union of .50, .55 ... .95, and ``ap50`` and ``ap75``; each is the mean over the classes
    that are there in truth, of precision averaged over 101 recalls. Where nothing is there they
    are 1 if nothing was found either, else 0.

    The matching is faster-coco-eval's, COCO's own in compiled code; raises
    ``ModuleNotFoundError`` where that is not installed.
    """

    def __init__(self) -> None:
        super().__init__(
            # COCO's own in float64: torchmetrics' are of float32, above .6, say, so that an
            # overlap of exactly .6 is a miss there
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),
            backend="faster_coco_eval",
            extended_summary=True,
        )
        self.warn_on_many_detections = False

    def compute(self) -> dict[str, Tensor]:
        names = ("ap", "ap50", "ap75")
        found = sum(len(each) for each in self.detection_labels)
        # COCO asks nobody to find what is marked as a crowd.
        wanted = sum(int((each == 0).sum()) for each in self.groundtruth_crowds)
        if not found or not wanted:
            value = torch.tensor(float(found == wanted))
            return dict.fromkeys(names, value)
        # Memory grows with the limit, so it is no higher than the fullest picture needs.
        most = max(len(each) for each in self.detection_labels)
        self.max_detection_thresholds = [1, 2, max(3, most)]
        results: dict[str, Any] = super().compute()
        # COCO's own "map" stops at 100 detections whatever the limit; the table does not.
        # (thresholds, recalls, classes, areas, limits), -1 where a class is not there
        table = results["precision"][:, :, :, _ALL_AREAS, -1]
        per_threshold = torch.stack([row[row > -1].mean() for row in table]).float()
        every = (per_threshold.mean(), per_threshold[0], per_threshold[5])
        return dict(zip(names, every, strict=True))

    def _sync_dist(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any | None = None,
    ) -> None:
        """Gathers what all processes saw, however many pictures each.

        torchmetrics' own exchanges the lists entry by entry, and breaks where they are not of one
        length.
        """
        mine = {name: [each.cpu() for each in getattr(self, name)] for name in self._reductions}
        everybody: list[Any] = [None] * dist.get_world_size(process_group)
        dist.all_gather_object(everybody, mine, process_group)
        for name in mine:
            seen = [each.to(self.device) for one in everybody for each in one[name]]
            setattr(self, name, seen)
