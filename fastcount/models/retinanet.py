"""RetinaNet (Lin et al. 2017) of torchvision, with mask focal loss (Zhong et al.)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead

from fastcount.models.parts.dense_detector import MATCHED
from fastcount.models.parts.focal_choice import FocalName
from fastcount.models.parts.pyramid import BackbonePyramid
from fastcount.models.parts.torchvision_detector import (
    UNLIMITED,
    NoBackbone,
    TorchvisionDetector,
)
from fastcount.models.registry import register


class _Head(RetinaNetHead):  # type: ignore[misc]  # torchvision has no types
    """torchvision's head, which also hands out the box that each anchor learns."""

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = super().compute_loss(
            targets, head_outputs, anchors, matched_idxs
        )
        return {**losses, MATCHED: torch.stack(matched_idxs)}


@register("retinanet")
class RetinaNet(TorchvisionDetector):
    """Nine anchors in each cell score their class and how to move onto the object.

    Args:
        anchor_scale: side of a level's smallest anchors in cells; torchvision's is 4 (32 pixels
            at stride 8). Heads of some 15 pixels want 2.

    The others are those of :class:`fastcount.models.fcos.FCOS`.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        loss: FocalName = "focal",
        gamma: float | None = None,
        beta: float | None = None,
        classes: Sequence[str] = ("object",),
        score_threshold: float = 0.3,
        nms_threshold: float = 0.5,
        anchor_scale: float = 4.0,
        levels: Sequence[int] = (3, 4, 5, 6, 7),
        channels: int = 256,
        weights: str | None = None,
    ) -> None:
        super().__init__(
            BackbonePyramid(backbone, channels, tuple(levels), weights),
            levels=levels,
            loss=loss,
            gamma=gamma,
            beta=beta,
            classes=classes,
            score_threshold=score_threshold,
        )
        sizes = tuple(
            tuple(int(anchor_scale * stride * 2 ** (third / 3)) for third in range(3))
            for stride in self.strides
        )
        self.detector = detection.RetinaNet(
            NoBackbone(channels),
            len(self.classes),
            anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
            head=_Head(channels, 9, len(self.classes)),
            nms_thresh=nms_threshold,
            detections_per_img=UNLIMITED,
            topk_candidates=UNLIMITED,
        )
