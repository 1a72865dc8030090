"""Detectors' candidates in operators that every inference engine has.

What the detectors' own ``detect`` does before it suppresses neighbours, with the best K of all
candidates instead of as many as there are. Suppression, which looks at one box after the other,
is the runtime's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastcount.export.anchors import anchor_and_label, clipped, corners, level_anchors
from fastcount.export.found import Located, chosen
from fastcount.export.peaks import coordinates, peak_heights


def candidates(model: Any, output: Any, threshold: float, most: int) -> tuple[Located, float]:
    """The best ``most`` boxes of a detector's ``output`` whose score reaches ``threshold``.

    Beside them the intersection over union above which the runtime is to suppress one of two.
    """
    if model.name == "centernet":
        return _centernet(output, threshold, most), float(model.nms_threshold)
    head = {name: each.float() for name, each in output.head.items()}
    scores = _SCORES[model.name](head)
    # torchvision's take what is above the threshold, ours what reaches it.
    torchvision = model.name in ("fcos", "retinanet")
    kept = scores > threshold if torchvision else scores >= threshold
    values = torch.where(kept, scores, torch.full_like(scores, -torch.inf))
    best = chosen(values.flatten(1), most)
    anchor, labels = anchor_and_label(best.place, scores.shape[2])
    regression = head["bbox_regression"]
    raw = regression.gather(1, anchor[..., None].expand(-1, -1, 4))
    boxes = clipped(_BOXES[model.name](model, output, raw, anchor), output.size)
    overlap = model.detector.nms_thresh if torchvision else model.nms_threshold
    return best.located(boxes, labels), float(overlap)


def _centernet(output: Any, threshold: float, most: int) -> Located:
    scores = torch.sigmoid(output.heatmap.float())
    classes = scores.shape[1]
    best = chosen(peak_heights(scores, 3, threshold).flatten(1), most)
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


def _fcos_scores(head: dict[str, Tensor]) -> Tensor:
    return torch.sqrt(torch.sigmoid(head["cls_logits"]) * torch.sigmoid(head["bbox_ctrness"]))


def _class_scores(head: dict[str, Tensor]) -> Tensor:
    return torch.sigmoid(head["cls_logits"])


def _yolo_scores(head: dict[str, Tensor]) -> Tensor:
    objectness = torch.sigmoid(head["cls_logits"])
    if head["kinds"].shape[2] == 0:
        return objectness
    return objectness * torch.sigmoid(head["kinds"])


def _fcos_boxes(model: Any, output: Any, raw: Tensor, anchor: Tensor) -> Tensor:
    found: Tensor = model.detector.box_coder.decode(raw, _anchors(model, output)[anchor])
    return found


def _retinanet_boxes(model: Any, output: Any, raw: Tensor, anchor: Tensor) -> Tensor:
    anchors = _anchors(model, output)[anchor]
    coder = model.detector.box_coder
    found: Tensor = coder.decode_single(raw.reshape(-1, 4), anchors.reshape(-1, 4))
    return found.reshape(raw.shape)


def _anchors(model: Any, output: Any) -> Tensor:
    """(A, 4) of torchvision's: those of a cell, moved to each cell of each level in turn."""
    cells = zip(
        output.sizes, model.strides, model.detector.anchor_generator.cell_anchors, strict=True
    )
    return torch.cat([level_anchors(size, stride, own) for size, stride, own in cells])


def _foveabox_boxes(model: Any, output: Any, raw: Tensor, anchor: Tensor) -> Tensor:
    table = _cells(model, output, each_cell=1)[anchor]
    distance = raw.clamp(max=8.0).exp() * (model.scale * table[..., 2:])
    return torch.cat([table[..., :2] - distance[..., :2], table[..., :2] + distance[..., 2:]], 2)


def _yolo_boxes(model: Any, output: Any, raw: Tensor, anchor: Tensor) -> Tensor:
    table = _cells(model, output, each_cell=3)[anchor]
    sides = []
    for (height, width), some in zip(output.sizes, model.anchors, strict=True):
        three = torch.tensor(some, device=raw.device)
        sides.append(three.expand(height * width, 3, 2).reshape(-1, 2))
    shift = (2 * torch.sigmoid(raw[..., :2]) - 1) * table[..., 2:]
    half = (2 * torch.sigmoid(raw[..., 2:])) ** 2 * torch.cat(sides)[anchor] / 2
    middle = table[..., :2] + shift
    return torch.cat([middle - half, middle + half], dim=2)


def _cells(model: Any, output: Any, each_cell: int) -> Tensor:
    """(A, 3) middle x, y and side in pixels of the cell of every anchor, all levels in turn."""
    levels = []
    for size, stride in zip(output.sizes, model.strides, strict=True):
        middle = (corners(size, like=output.head["bbox_regression"]) + 0.5) * stride
        cells = torch.cat([middle, torch.full_like(middle[:, :1], float(stride))], dim=1)
        levels.append(cells[:, None].expand(-1, each_cell, 3).reshape(-1, 3))
    return torch.cat(levels)


_SCORES: dict[str, Callable[[dict[str, Tensor]], Tensor]] = {
    "fcos": _fcos_scores,
    "retinanet": _class_scores,
    "foveabox": _class_scores,
    "yolov5": _yolo_scores,
}
_BOXES: dict[str, Callable[[Any, Any, Tensor, Tensor], Tensor]] = {
    "fcos": _fcos_boxes,
    "retinanet": _retinanet_boxes,
    "foveabox": _foveabox_boxes,
    "yolov5": _yolo_boxes,
}
