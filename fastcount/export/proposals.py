"""Both stages of Faster R-CNN in operators that every inference engine has.

What :meth:`fastcount.models.faster_rcnn.FasterRCNN.detect` does before it suppresses neighbours.
The first stage's own suppression is part of the graph, by ONNX's NonMaxSuppression: which boxes
the second stage looks at depends on it. How many it looks at is a size that depends on the
picture; what it says of them is laid into tensors of fixed size again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import nms, roi_align

from fastcount.export.anchors import anchor_and_label, clipped, level_anchors
from fastcount.export.found import NOT_NUMBERS, Chosen, Located, chosen
from fastcount.models.faster_rcnn import FasterRCNN, FasterRCNNOutput

_LEAST_PROPOSAL, _LEAST_BOX = 1e-3, 1e-2  # pixels; torchvision's


def candidates(model: FasterRCNN, output: FasterRCNNOutput, threshold: float, most: int) -> Located:
    """The best ``most`` boxes of Faster R-CNN's ``output`` whose score is above ``threshold``."""
    proposals, best = _proposals(model, output)
    batch, number = best.scores.shape
    there = torch.nonzero(best.valid.flatten()).squeeze(1)
    picture = torch.div(there, number, rounding_mode="floor")
    order, scores, boxes = _second_stage(model, output, proposals.flatten(0, 1)[there], picture)
    place = there[order]
    classes = scores.shape[1]
    values = scores.new_full((batch * number, classes), -torch.inf).index_put((place,), scores)
    table = boxes.new_zeros((batch * number, classes, 4)).index_put((place,), boxes)
    values = values.reshape(batch, number * classes)
    values = torch.where(values <= threshold, torch.full_like(values, -torch.inf), values)
    taken = chosen(values, most)
    # Of maps that are no numbers no proposal is made, and where there is none nothing scores.
    lost = _hold_nan([*output.objectness, *output.deltas])
    missing = torch.full_like(taken.found, NOT_NUMBERS)
    taken = replace(taken, found=torch.where(lost, missing, taken.found))
    table = table.reshape(batch, number * classes, 4)
    found = table.gather(1, taken.place[..., None].expand(-1, -1, 4))
    _, labels = anchor_and_label(taken.place, classes)
    return taken.located(found, labels)


def _hold_nan(maps: Sequence[Tensor]) -> Tensor:
    """(B,) bool: the pictures where one of ``maps`` (B, C, h, w) holds NaN."""
    numbers = [torch.isnan(each).to(torch.int32).sum(dim=(1, 2, 3)) for each in maps]
    return torch.stack(numbers).sum(dim=0) > 0


def _proposals(model: FasterRCNN, output: FasterRCNNOutput) -> tuple[Tensor, Chosen]:
    """(B, P, 4) boxes, the most promising first, and which of the P there are."""
    boxes, values = [], []
    for level, stride in enumerate(model.strides):
        some, objectness = _level_candidates(model, output, level, stride)
        boxes.append(some)
        values.append(_suppressed(some, objectness, model.rpn.nms_thresh, output.size[0]))
    every, heights = torch.cat(boxes, dim=1), torch.cat(values, dim=1)
    best = chosen(heights, min(heights.shape[1], model.rpn.post_nms_top_n()))
    return every.gather(1, best.place[..., None].expand(-1, -1, 4)), best


def _level_candidates(
    model: FasterRCNN, output: FasterRCNNOutput, level: int, stride: int
) -> tuple[Tensor, Tensor]:
    """(B, N, 4) clipped boxes of a level and (B, N) their objectness; minus infinity where there
    is no box."""
    logits, deltas = output.objectness[level].float(), output.deltas[level].float()
    batch, _, *size = logits.shape
    logits = logits.permute(0, 2, 3, 1).flatten(1)
    deltas = torch.unflatten(deltas, 1, (-1, 4)).permute(0, 3, 4, 1, 2).reshape(batch, -1, 4)
    number = model.rpn.pre_nms_top_n()
    # A free size has no number to compare with.
    fewer = isinstance(logits.shape[1], int)
    best = chosen(logits, min(logits.shape[1], number) if fewer else number)
    anchors = level_anchors(size, stride, model.rpn.anchor_generator.cell_anchors[level])
    moves = deltas.gather(1, best.place[..., None].expand(-1, -1, 4))
    decoded = model.rpn.box_coder.decode_single(
        moves.reshape(-1, 4), anchors[best.place].reshape(-1, 4)
    )
    boxes = clipped(decoded.reshape(moves.shape), output.size)
    sides = boxes[..., 2:] - boxes[..., :2]
    is_box = best.valid & (sides >= _LEAST_PROPOSAL).all(dim=2)
    objectness = torch.sigmoid(best.scores)
    return boxes, torch.where(is_box, objectness, torch.full_like(objectness, -torch.inf))


def _suppressed(boxes: Tensor, values: Tensor, overlap: float, height: int) -> Tensor:
    """(B, N) ``values``, minus infinity where a better one of the same picture lies over it."""
    batch, number = values.shape
    rows = torch.nonzero((values > -torch.inf).flatten()).squeeze(1)
    # Pictures lie below each other, so that one call keeps them apart.
    picture = torch.div(rows, number, rounding_mode="floor")
    down = (picture * (height + 1)).to(boxes.dtype)
    across = torch.zeros_like(down)
    spread = boxes.flatten(0, 1)[rows] + torch.stack([across, down, across, down], dim=1)
    kept = rows[nms(spread, values.flatten()[rows], overlap)]
    stays = torch.zeros_like(values).flatten().index_put((kept,), torch.ones_like(kept).to(values))
    return torch.where(stays.reshape(batch, number) > 0, values, -torch.inf)


def _second_stage(
    model: FasterRCNN, output: FasterRCNNOutput, proposals: Tensor, picture: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What is said of (N, 4) ``proposals``, of the pictures that ``picture`` (N,) numbers.

    Their numbers (N,) in the order of their levels; in this order (N, C) scores, minus infinity
    where nothing is left of a box, and (N, C, 4) boxes.
    """
    heads = model.roi_heads
    looked_at = torch.cat([picture[:, None].to(proposals.dtype), proposals], dim=1)
    level = _level(proposals, model.strides[:-1])
    orders, pooled = [], []
    for number, maps in enumerate(output.features[:-1]):
        here = torch.nonzero(level == number).squeeze(1)
        orders.append(here)
        pooled.append(
            roi_align(
                maps.float(), looked_at[here], heads.box_roi_pool.output_size,
                1 / model.strides[number], heads.box_roi_pool.sampling_ratio,
            )
        )  # fmt: skip
    order = torch.cat(orders)
    rich = heads.box_head(torch.cat(pooled).to(output.features[0].dtype))
    logits, moves = heads.box_predictor(rich)
    boxes = heads.box_coder.decode_single(moves.float(), proposals[order])
    boxes = clipped(boxes.reshape(-1, logits.shape[1], 4), output.size)[:, 1:]
    scores = torch.softmax(logits.float(), dim=1)[:, 1:]
    sides = boxes[..., 2:] - boxes[..., :2]
    is_box = (sides >= _LEAST_BOX).all(dim=2)
    return order, torch.where(is_box, scores, torch.full_like(scores, -torch.inf)), boxes


def _level(boxes: Tensor, strides: list[int]) -> Tensor:
    """(N,) from 0: the level for a box, by its area's square root; stride 16 from 224 pixels on
    (Lin et al. 2017, eq. 1)."""
    lowest, highest = (math.log2(stride) for stride in (strides[0], strides[-1]))
    sides = boxes[:, 2:] - boxes[:, :2]
    octave = torch.log2(sides.prod(dim=1).sqrt() / 224) + 1e-6
    return torch.floor(octave + 4).clamp(lowest, highest) - lowest
