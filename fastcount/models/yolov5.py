"""YOLOv5's network and assignment, written anew, with mask focal loss (Zhong et al.).

Three anchors in each cell of strides 8, 16 and 32 say whether they hold an object (objectness),
where its box is, and of which class it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, complete_box_iou_loss

from fastcount.models.parts.box_detector import BoxTruth, Detections
from fastcount.models.parts.dense_detector import (
    MATCHED,
    DenseDetector,
    DenseOutput,
    TargetMap,
    cell_middles,
)
from fastcount.models.parts.focal_choice import FocalName
from fastcount.models.parts.yolo_layers import YoloPyramid
from fastcount.models.registry import register

Size = Literal["n", "s", "m", "l", "x"]

_WIDTH_DEPTH = {
    "n": (0.25, 0.33),
    "s": (0.5, 0.33),
    "m": (0.75, 0.67),
    "l": (1.0, 1.0),
    "x": (1.25, 1.33),
}
# Width and height in pixels of the three anchors of each level: those of the COCO models.
_ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
_FITS = 4.0  # an anchor learns boxes whose sides are up to so many times its own, or it theirs
_PRIOR = 0.01  # the objectness that an untrained head gives everywhere


class _Head(nn.Module):
    """A 1x1 convolution for each level: objectness, box and classes of three anchors a cell."""

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.kinds = num_classes if num_classes > 1 else 0
        self.levels = nn.ModuleList(nn.Conv2d(c, 3 * (5 + self.kinds), 1) for c in channels)
        for level in self.levels:
            assert isinstance(level, nn.Conv2d)
            assert level.bias is not None
            with torch.no_grad():
                level.bias.view(3, -1)[:, 0] = torch.logit(torch.tensor(_PRIOR))

    def forward(self, maps: list[Tensor]) -> dict[str, Tensor]:
        found = []
        for level, features in zip(self.levels, maps, strict=True):
            x = level(features)  # (B, 3 * (5 + kinds), h, w)
            x = x.unflatten(1, (3, 5 + self.kinds)).permute(0, 3, 4, 1, 2)
            found.append(x.flatten(1, 3))
        every = torch.cat(found, dim=1)
        return {
            "cls_logits": every[..., :1],
            "bbox_regression": every[..., 1:5],
            "kinds": every[..., 5:],
        }


@register("yolov5")
class YOLOv5(DenseDetector):
    """YOLOv5: objectness by the chosen focal loss, boxes by CIoU, classes by cross entropy.

    YOLOv5 learns objectness by cross entropy towards the overlap of its box; Mask Focal Loss
    counts it among the detectors of eq. 2, which is what ``loss="focal"`` is here. The three
    losses are added as they are, without YOLOv5's weights of losses and of levels, which belong
    to the mean of that cross entropy over all anchors.

    Args:
        size: ``"n"``, ``"s"``, ``"m"``, ``"l"`` or ``"x"``, the paper's.
        anchor_scale: factor of the COCO models' anchors (10x13 to 373x326 pixels).
        nms_threshold: of two boxes that overlap by more (IoU) the one of lower score goes.
        loss, gamma, beta, epsilon, target_map, classes, score_threshold: see
            :class:`fastcount.models.parts.dense_detector.DenseDetector`. A detection scores
            objectness times class.

    ``forward``: (B, 3, H, W) RGB in [0, 1], H and W multiples of 32.
    """

    offset = 0.5

    def __init__(
        self,
        *,
        size: Size = "x",
        loss: FocalName = "focal",
        gamma: float | None = None,
        beta: float | None = None,
        epsilon: float = 6.0,
        target_map: TargetMap = "binary",
        classes: Sequence[str] = ("object",),
        score_threshold: float = 0.3,
        nms_threshold: float = 0.5,
        anchor_scale: float = 1.0,
    ) -> None:
        if size not in _WIDTH_DEPTH:
            raise ValueError(f"size: need one of {', '.join(get_args(Size))}, got {size!r}")
        pyramid = YoloPyramid(*_WIDTH_DEPTH[size])
        super().__init__(
            pyramid,
            levels=(3, 4, 5),
            loss=loss,
            gamma=gamma,
            beta=beta,
            epsilon=epsilon,
            target_map=target_map,
            classes=classes,
            score_threshold=score_threshold,
        )
        # Less than they see: 420 pixels and more on the coarsest maps of the two smallest, twice
        # that for the largest. What comes from so far is little, and would cost most of a tile.
        self.tiling = replace(self.tiling, margin=384)
        self.nms_threshold = nms_threshold
        self.anchors = [[(w * anchor_scale, h * anchor_scale) for w, h in one] for one in _ANCHORS]
        self.head: Any = _Head(pyramid.channels, len(self.classes))

    @property
    def score_classes(self) -> int:
        return 1  # objectness

    def outputs(self, maps: list[Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.head(maps)
        return found

    def places(self, output: DenseOutput) -> list[Tensor]:
        return [cell.repeat_interleave(3, dim=0) for cell in cell_middles(output, self.strides)]

    def other_losses(
        self, head: dict[str, Tensor], truths: list[BoxTruth], output: DenseOutput
    ) -> dict[str, Tensor]:
        """``boxes``: 1 - CIoU of the anchors that learn a box, mean; ``kinds``: cross entropy of
        their classes, mean, where there are several."""
        matched = torch.stack([self._matched(truth, output.sizes) for truth in truths])
        picture, place = torch.where(matched >= 0)
        parts = {MATCHED: matched, "boxes": head["bbox_regression"].sum() * 0.0}
        if len(self.classes) > 1:
            parts["kinds"] = head["kinds"].sum() * 0.0
        if not len(picture):
            return parts
        rows = [row[row >= 0] for row in matched]
        boxes = torch.cat([truth.boxes[row] for truth, row in zip(truths, rows, strict=True)])
        found = self._decoded(head["bbox_regression"][picture, place], place, output)
        parts["boxes"] = complete_box_iou_loss(found, boxes, reduction="mean")
        if len(self.classes) > 1:
            labels = torch.cat([truth.labels[row] for truth, row in zip(truths, rows, strict=True)])
            wanted = F.one_hot(labels, len(self.classes)).to(head["kinds"].dtype)
            parts["kinds"] = F.binary_cross_entropy_with_logits(
                head["kinds"][picture, place], wanted
            )
        return parts

    def detect(self, output: DenseOutput, score_threshold: float) -> list[Detections]:
        head = {name: each.float() for name, each in output.head.items()}
        scores = head["cls_logits"].sigmoid()
        if len(self.classes) > 1:
            scores = scores * head["kinds"].sigmoid()
        result = []
        for score, sides in zip(scores, head["bbox_regression"], strict=True):
            place, labels = torch.where(score >= score_threshold)
            boxes = self._decoded(sides[place], place, output)
            boxes = clip_boxes_to_image(boxes, output.size)
            found = score[place, labels]
            keep = batched_nms(boxes, found, labels, self.nms_threshold)
            result.append(Detections(boxes[keep], found[keep], labels[keep]))
        return result

    def _decoded(self, raw: Tensor, place: Tensor, output: DenseOutput) -> Tensor:
        """(N, 4) boxes of the anchors ``place`` (N,): the middle lies within a cell of the
        cell's, the sides are up to four times the anchor's."""
        middle = torch.cat(self.places(output))[place]
        stride, sides = self._grid(output, raw.device)
        shift = (2 * raw[:, :2].sigmoid() - 1) * stride[place, None]
        half = (2 * raw[:, 2:].sigmoid()) ** 2 * sides[place] / 2
        return torch.cat([middle + shift - half, middle + shift + half], dim=1)

    def _grid(self, output: DenseOutput, device: torch.device) -> tuple[Tensor, Tensor]:
        """(A,) stride and (A, 2) sides in pixels of every anchor."""
        strides, sides = [], []
        for (height, width), stride, some in zip(
            output.sizes, self.strides, self.anchors, strict=True
        ):
            cells = height * width
            strides.append(torch.full((cells * 3,), float(stride), device=device))
            sides.append(torch.tensor(some, device=device).repeat(cells, 1))
        return torch.cat(strides), torch.cat(sides)

    def _matched(self, truth: BoxTruth, sizes: list[tuple[int, int]]) -> Tensor:
        """(A,) place of the box that each anchor learns, -1 for none.

        A box is learnt at every level by the anchors that fit it, in its own cell and in the two
        cells beside it that its middle is closest to. Of two boxes the smaller is learnt.
        """
        boxes = truth.boxes
        number = len(boxes)
        extent = boxes[:, 2:] - boxes[:, :2]
        middle = (boxes[:, 2:] + boxes[:, :2]) / 2
        order = extent.prod(1).argsort(stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(number, device=boxes.device)
        levels = []
        for (height, width), stride, some in zip(sizes, self.strides, self.anchors, strict=True):
            ratio = extent[:, None] / torch.tensor(some, device=boxes.device)  # (N, 3, 2)
            fits = torch.maximum(ratio, 1 / ratio).amax(-1) < _FITS
            cell = (middle / stride).floor()
            aside = torch.where(middle / stride - cell < 0.5, -1.0, 1.0)
            best = torch.full((height * width * 3,), number, device=boxes.device)
            for step in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
                at = cell + aside * torch.tensor(step, device=boxes.device)
                x, y = at.long().unbind(1)
                there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                box, anchor = torch.where(fits & there[:, None])
                best.scatter_reduce_(0, (y[box] * width + x[box]) * 3 + anchor, rank[box], "amin")
            levels.append(torch.cat([order, order.new_full((1,), -1)])[best])
        return torch.cat(levels)
