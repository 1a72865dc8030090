"""Faster R-CNN (Ren et al. 2015) of torchvision: the two-stage detector for comparison.

Mask Focal Loss (Zhong et al.) compares with it as it is. Here its first stage, a binary map of
"something" and "nothing", can learn by a focal loss too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import MultiScaleRoIAlign, box_iou

from fastcount.models.base import Normalize, Target, require_multiples, require_one_each
from fastcount.models.parts.box_detector import BoxDetector, BoxTruth, Detections
from fastcount.models.parts.dense_detector import (
    TargetMap,
    check_target_map,
    matched_heatmap,
    matched_mask,
    outside,
)
from fastcount.models.parts.focal_choice import FocalChoice, FocalName
from fastcount.models.parts.pyramid import BackbonePyramid
from fastcount.models.parts.torchvision_detector import UNLIMITED, NoBackbone
from fastcount.models.registry import register
from fastcount.runtime.tiling import Tiling

LossName = Literal["cross_entropy", FocalName]


@dataclass(frozen=True)
class FasterRCNNOutput:
    """``features``: the pyramid's maps, coarsest last. ``objectness``: (B, 3, h, w) logits and
    ``deltas``: (B, 12, h, w) of each level. ``size``: (H, W) of the pictures."""

    features: list[Tensor]
    objectness: list[Tensor]
    deltas: list[Tensor]
    size: tuple[int, int]


@register("faster_rcnn")
class FasterRCNN(BoxDetector):
    """Proposals from anchors, each then looked at again and classified.

    The second stage runs in :meth:`loss` and :meth:`decode`, since its input differs.

    Args:
        backbone, weights: of :class:`fastcount.models.parts.pyramid.BackbonePyramid`.
        loss: of the proposals' objectness: ``"cross_entropy"``, torchvision's own on a sample of
            anchors, or a focal loss on all. The second stage learns by cross entropy.
        gamma, beta, epsilon: of a focal loss, see
            :class:`fastcount.models.parts.focal_choice.FocalChoice`.
        target_map: of a mask focal loss, see
            :class:`fastcount.models.parts.dense_detector.DenseDetector`.
        classes, score_threshold: see :class:`BoxDetector`.
        nms_threshold: of two boxes that overlap by more (IoU) the one of lower score goes.
        proposals: how many go on to the second stage in each tile, and how many of each level
            are looked at before. It bounds the count; time and memory grow with it.
        anchor_scale: side of a level's anchors in cells; torchvision's is 8.
        levels, channels: of the pyramid; the coarsest level only proposes.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        loss: LossName = "cross_entropy",
        gamma: float | None = None,
        beta: float | None = None,
        epsilon: float = 6.0,
        target_map: TargetMap = "binary",
        classes: Sequence[str] = ("object",),
        score_threshold: float = 0.3,
        nms_threshold: float = 0.5,
        proposals: int = 20_000,
        anchor_scale: float = 8.0,
        levels: Sequence[int] = (2, 3, 4, 5, 6),
        channels: int = 256,
        weights: str | None = None,
    ) -> None:
        super().__init__(classes, score_threshold)
        if loss not in get_args(LossName):
            raise ValueError(f"loss: need one of {', '.join(get_args(LossName))}, got {loss!r}")
        check_target_map(target_map)
        self.target_map = target_map
        self.focal = None
        if loss != "cross_entropy":
            self.focal = FocalChoice(loss, gamma=gamma, beta=beta, epsilon=epsilon)
        self.pyramid = BackbonePyramid(backbone, channels, tuple(levels), weights, "pool")
        self.normalize = Normalize(self.pyramid.mean, self.pyramid.std)
        self.strides = [2**level for level in levels]
        # As far as the first stage sees with ResNet-50 and the paper's levels.
        self.tiling = Tiling(mode="overlap", tile=(1536, 1536), margin=320, align=self.strides[-1])
        anchors = AnchorGenerator(
            tuple((int(anchor_scale * stride),) for stride in self.strides),
            ((0.5, 1.0, 2.0),) * len(self.strides),
        )
        names = [str(place) for place in range(len(levels) - 1)]
        whole = detection.FasterRCNN(
            NoBackbone(channels),
            len(self.classes) + 1,  # the first is the background
            rpn_anchor_generator=anchors,
            rpn_pre_nms_top_n_train=proposals,
            rpn_pre_nms_top_n_test=proposals,
            rpn_post_nms_top_n_train=proposals,
            rpn_post_nms_top_n_test=proposals,
            box_roi_pool=MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
            box_nms_thresh=nms_threshold,
            box_detections_per_img=UNLIMITED,
        )
        self.rpn, self.roi_heads = whole.rpn, whole.roi_heads

    def forward(self, images: Tensor) -> FasterRCNNOutput:
        require_multiples(images, self.strides[-1])
        maps = self.pyramid(self.normalize(images))
        objectness, deltas = self.rpn.head(maps)
        return FasterRCNNOutput(maps, objectness, deltas, (images.shape[-2], images.shape[-1]))

    def loss(self, output: FasterRCNNOutput, targets: list[Target]) -> dict[str, Tensor]:
        """torchvision's four losses, ``objectness`` by the chosen one; their sum is ``loss``.

        Ignored boxes are skipped by a focal objectness loss; cross entropy samples anchors
        without regard to them.
        """
        require_one_each(targets, output.objectness[0])
        device = output.objectness[0].device
        truths = self.truths(targets, output, device)
        given = [{"boxes": one.boxes, "labels": one.labels + 1} for one in truths]
        anchors = self._anchors(output)
        logits, deltas = concat_box_prediction_layers(
            [one.float() for one in output.objectness], [one.float() for one in output.deltas]
        )
        labels, boxes = self.rpn.assign_targets_to_anchors(anchors, given)
        shifts = self.rpn.box_coder.encode(boxes, anchors)
        objectness, proposal_boxes = self.rpn.compute_loss(logits, deltas, labels, shifts)
        if self.focal is not None:
            objectness = self._focal_objectness(self.focal, logits, anchors[0], truths, output)
        chosen, _, classes, shifts = self.roi_heads.select_training_samples(
            self._proposals(output, anchors), given
        )
        scores, moves = self._second_stage(output, chosen)
        classification, box_loss = fastrcnn_loss(scores, moves, classes, shifts)
        parts = {
            "objectness": objectness,
            "proposal_boxes": proposal_boxes,
            "classification": classification,
            "boxes": box_loss,
        }
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def detect(self, output: FasterRCNNOutput, score_threshold: float) -> list[Detections]:
        proposals = self._proposals(output, self._anchors(output))
        scores, moves = self._second_stage(output, proposals)
        self.roi_heads.score_thresh = score_threshold
        found = self.roi_heads.postprocess_detections(
            scores, moves, proposals, [output.size] * len(proposals)
        )
        return [
            Detections(boxes, score, labels - 1)
            for boxes, score, labels in zip(*found, strict=True)
        ]

    def picture_size(self, output: FasterRCNNOutput) -> tuple[int, int]:
        return output.size

    def _anchors(self, output: FasterRCNNOutput) -> list[Tensor]:
        """(A, 4) for each picture, all levels in turn."""
        batch = len(output.objectness[0])
        blank = output.objectness[0].new_zeros((), dtype=torch.float32)
        pictures = ImageList(blank.expand(batch, 3, *output.size), [output.size] * batch)
        maps = [blank.expand(1, 1, *one.shape[-2:]) for one in output.objectness]
        anchors: list[Tensor] = self.rpn.anchor_generator(pictures, maps)
        return anchors

    def _proposals(self, output: FasterRCNNOutput, anchors: list[Tensor]) -> list[Tensor]:
        """(P, 4) boxes for each picture that the second stage looks at."""
        with torch.no_grad():
            logits, deltas = concat_box_prediction_layers(
                [one.float() for one in output.objectness],
                [one.float() for one in output.deltas],
            )
            batch = len(anchors)
            boxes = self.rpn.box_coder.decode(deltas, anchors).view(batch, -1, 4)
            counts = [one[0].numel() for one in output.objectness]
            proposals: list[Tensor] = self.rpn.filter_proposals(
                boxes, logits, [output.size] * batch, counts
            )[0]
        return proposals

    def _second_stage(
        self, output: FasterRCNNOutput, proposals: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """(P, C + 1) logits and (P, 4 (C + 1)) moves of the proposals of all pictures, float32."""
        maps = {str(place): one.float() for place, one in enumerate(output.features[:-1])}
        pooled = self.roi_heads.box_roi_pool(maps, proposals, [output.size] * len(proposals))
        pooled = pooled.to(next(self.roi_heads.parameters()).dtype)  # of a model in half precision
        scores, moves = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
        return scores.float(), moves.float()

    def _focal_objectness(
        self,
        focal: FocalChoice,
        logits: Tensor,
        anchors: Tensor,
        truths: list[BoxTruth],
        output: FasterRCNNOutput,
    ) -> Tensor:
        none = torch.full((len(anchors),), -1, device=anchors.device)
        matched = torch.stack(
            [
                self.rpn.proposal_matcher(box_iou(truth.boxes, anchors))
                if len(truth.boxes)
                else none
                for truth in truths
            ]
        )
        anything = [
            BoxTruth(truth.boxes, torch.zeros_like(truth.labels), truth.ignored) for truth in truths
        ]
        sizes = [(one.shape[-2], one.shape[-1]) for one in output.objectness]
        mask = matched_mask(matched, anything, 1)
        target = mask.to(logits.dtype)
        if focal.masked and self.target_map == "heatmap":
            target = target * matched_heatmap(
                matched, anything, sizes, self.strides, 1, 0.0, epsilon=focal.epsilon
            )
        keep = (matched != -2)[..., None]
        elsewhere = outside((anchors[:, :2] + anchors[:, 2:]) / 2, truths)
        if elsewhere is not None:
            keep = keep & elsewhere
        number = float(max(1, int(mask.sum())))
        return focal(logits.view_as(target), target, mask, number, keep=keep | mask)
