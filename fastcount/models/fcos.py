"""FCOS (Tian et al. 2019) of torchvision, with mask focal loss (Zhong et al.)."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from fastcount.models.parts.pyramid_detector import PyramidOptions
from fastcount.models.parts.torchvision_detector import (
    UNLIMITED,
    HandsOutMatches,
    NoBackbone,
    TorchvisionDetector,
)
from fastcount.models.registry import register


class _Head(HandsOutMatches, FCOSHead):  # type: ignore[misc]  # torchvision has no types
    """torchvision's head, which also hands out the box that each place learns."""


@register("fcos")
class FCOS(TorchvisionDetector):
    """Every cell near the middle of a box scores its class, its distance to the sides, and how
    central it is. The score of a detection is the root of class score times centrality.

    Args:
        nms_threshold: of two boxes that overlap by more (IoU) the one of lower score goes.
        options: see :class:`fastcount.models.parts.pyramid_detector.PyramidDetector`; channels
            must be a multiple of 32.
    """

    coarse = "P5"

    def __init__(self, *, nms_threshold: float = 0.6, **options: Unpack[PyramidOptions]) -> None:
        super().__init__(**options)
        anchors = AnchorGenerator(
            tuple((stride,) for stride in self.strides), ((1.0,),) * len(self.strides)
        )
        self.detector = detection.FCOS(
            NoBackbone(self.channels),
            len(self.classes),
            anchor_generator=anchors,
            head=_Head(self.channels, 1, len(self.classes)),
            nms_thresh=nms_threshold,
            detections_per_img=UNLIMITED,
            topk_candidates=UNLIMITED,
        )

    def _torchvision_losses(
        self,
        targets: list[dict[str, Tensor]],
        head: dict[str, Tensor],
        anchors: list[Tensor],
        counts: list[int],
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.detector.compute_loss(targets, head, anchors, counts)
        return losses
