"""FCOS (Tian et al. 2019) of torchvision, with mask focal loss (Zhong et al.)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from fastcount.models.parts.dense_detector import MATCHED
from fastcount.models.parts.focal_choice import FocalName
from fastcount.models.parts.pyramid import BackbonePyramid
from fastcount.models.parts.torchvision_detector import (
    UNLIMITED,
    NoBackbone,
    TorchvisionDetector,
)
from fastcount.models.registry import register


class _Head(FCOSHead):  # type: ignore[misc]  # torchvision has no types
    """torchvision's head, which also hands out the box that each place learns."""

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


@register("fcos")
class FCOS(TorchvisionDetector):
    """Every cell near the middle of a box scores its class, its distance to the sides, and how
    central it is. The score of a detection is the root of class score times centrality.

    Args:
        backbone, weights: of :class:`fastcount.models.parts.pyramid.BackbonePyramid`.
        levels, channels: of the pyramid; a cell of level l has 2^l pixels a side.
        loss: ``"focal"``, ``"mask_focal"`` or ``"mask_focal_poly"``; gamma, beta: its exponents,
            None for the paper's best.
        classes, score_threshold: see :class:`BoxDetector`.
        nms_threshold: of two boxes that overlap by more (IoU) the one of lower score goes.
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
        nms_threshold: float = 0.6,
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
        anchors = AnchorGenerator(
            tuple((stride,) for stride in self.strides), ((1.0,),) * len(self.strides)
        )
        self.detector = detection.FCOS(
            NoBackbone(channels),
            len(self.classes),
            anchor_generator=anchors,
            head=_Head(channels, 1, len(self.classes)),
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
