"""Detectors' candidates in operators that every inference engine has.

What the detectors' own ``detect`` does before it suppresses neighbours, with the best K of all
candidates instead of as many as there are. Suppression, which looks at one box after the other,
is the runtime's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastcount.export.anchors import anchor_and_label, clipped, corners, level_anchors
from fastcount.export.found import Located, chosen
from fastcount.export.peaks import coordinates, peaks_or_nan
from fastcount.models.centernet import CenterNet, CenterNetOutput
from fastcount.models.fcos import FCOS
from fastcount.models.foveabox import FoveaBox
from fastcount.models.parts.dense_detector import DenseOutput
from fastcount.models.retinanet import RetinaNet
from fastcount.models.yolov5 import YOLOv5

Dense = FCOS | RetinaNet | FoveaBox | YOLOv5
Detector = CenterNet | Dense


def candidates(
    model: Detector, output: CenterNetOutput | DenseOutput, threshold: float, most: int
) -> tuple[Located, float]:
    """The best ``most`` boxes of a detector's ``output`` whose score reaches ``threshold``.

    Beside them the intersection over union above which the runtime is to suppress one of two.
    """
    if isinstance(model, CenterNet):
        assert isinstance(output, CenterNetOutput)
        return _centernet(output, threshold, most), model.nms_threshold
    assert isinstance(output, DenseOutput)
    head = {name: each.float() for name, each in output.head.items()}
    scores = _scores(model, head)
    # torchvision's take what is above the threshold, ours what reaches it.
    if isinstance(model, FCOS | RetinaNet):
        dropped, overlap = scores <= threshold, model.detector.nms_thresh
    else:
        dropped, overlap = scores < threshold, model.nms_threshold
    values = torch.where(dropped, torch.full_like(scores, -torch.inf), scores)  # NaN stays
    best = chosen(values.flatten(1), most)
    anchor, labels = anchor_and_label(best.place, scores.shape[2])
    regression = head["bbox_regression"]
    raw = regression.gather(1, anchor[..., None].expand(-1, -1, 4))
    boxes = clipped(_boxes(model, output, raw, anchor), output.size)
    return best.located(boxes, labels), float(overlap)


def _centernet(output: CenterNetOutput, threshold: float, most: int) -> Located:
    scores = torch.sigmoid(output.heatmap.float())
    classes = scores.shape[1]
    best = chosen(peaks_or_nan(scores, 3, threshold).flatten(1), most)
    cells = coordinates(scores)
    number = torch.arange(classes, device=scores.device)[:, None].expand(classes, cells.shape[0])
    cell = torch.arange(cells.shape[0], device=scores.device).expand(classes, cells.shape[0])
    place = cell.flatten()[best.place]
    offset, sides = (_at(maps.float(), place) for maps in (output.offset, output.sides))
    middle = (cells[place] + 0.5 + offset) * output.stride
    half = sides.clamp(min=0) * output.stride / 2
    boxes = torch.cat([middle - half, middle + half], dim=2)
    return best.located(boxes, number.flatten()[best.place])


def _at(maps: Tensor, place: Tensor) -> Tensor:
    """(B, K, 2) the values of (B, 2, h, w) ``maps`` at the cells ``place`` (B, K)."""
    return maps.flatten(2).transpose(1, 2).gather(1, place[..., None].expand(-1, -1, 2))


def _scores(model: Dense, head: dict[str, Tensor]) -> Tensor:
    """(B, A, C) the scores of every anchor."""
    scores = torch.sigmoid(head["cls_logits"])
    if isinstance(model, FCOS):
        return torch.sqrt(scores * torch.sigmoid(head["bbox_ctrness"]))
    if isinstance(model, YOLOv5) and head["kinds"].shape[2] > 0:
        return scores * torch.sigmoid(head["kinds"])
    return scores


def _boxes(model: Dense, output: DenseOutput, raw: Tensor, anchor: Tensor) -> Tensor:
    """(B, K, 4) what ``raw``, the head's for the anchors ``anchor`` (B, K), means in pixels."""
    if isinstance(model, FoveaBox):
        return _foveabox_boxes(model, output, raw, anchor)
    if isinstance(model, YOLOv5):
        return _yolo_boxes(model, output, raw, anchor)
    anchors = _anchors(model, output)[anchor]
    coder = model.detector.box_coder
    if isinstance(model, FCOS):
        found: Tensor = coder.decode(raw, anchors)
    else:
        found = coder.decode_single(raw.reshape(-1, 4), anchors.reshape(-1, 4))
    return found.reshape(raw.shape)


def _anchors(model: FCOS | RetinaNet, output: DenseOutput) -> Tensor:
    """(A, 4) of torchvision's: those of a cell, moved to each cell of each level in turn."""
    cells = zip(
        output.sizes, model.strides, model.detector.anchor_generator.cell_anchors, strict=True
    )
    return torch.cat([level_anchors(size, stride, own) for size, stride, own in cells])


def _foveabox_boxes(model: FoveaBox, output: DenseOutput, raw: Tensor, anchor: Tensor) -> Tensor:
    table = _cells(model, output, each_cell=1)[anchor]
    distance = raw.clamp(max=8.0).exp() * (model.scale * table[..., 2:])
    return torch.cat([table[..., :2] - distance[..., :2], table[..., :2] + distance[..., 2:]], 2)


def _yolo_boxes(model: YOLOv5, output: DenseOutput, raw: Tensor, anchor: Tensor) -> Tensor:
    table = _cells(model, output, each_cell=3)[anchor]
    sides = []
    for (height, width), some in zip(output.sizes, model.anchors, strict=True):
        three = torch.tensor(some, device=raw.device)
        sides.append(three.expand(height * width, 3, 2).reshape(-1, 2))
    shift = (2 * torch.sigmoid(raw[..., :2]) - 1) * table[..., 2:]
    half = (2 * torch.sigmoid(raw[..., 2:])) ** 2 * torch.cat(sides)[anchor] / 2
    middle = table[..., :2] + shift
    return torch.cat([middle - half, middle + half], dim=2)


def _cells(model: FoveaBox | YOLOv5, output: DenseOutput, each_cell: int) -> Tensor:
    """(A, 3) middle x, y and side in pixels of the cell of every anchor, all levels in turn."""
    levels = []
    for size, stride in zip(output.sizes, model.strides, strict=True):
        middle = (corners(size, like=output.head["bbox_regression"]) + 0.5) * stride
        cells = torch.cat([middle, torch.full_like(middle[:, :1], float(stride))], dim=1)
        levels.append(cells[:, None].expand(-1, each_cell, 3).reshape(-1, 3))
    return torch.cat(levels)
