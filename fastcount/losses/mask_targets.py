"""Heat maps and masks of boxes on the grid of a network's output: what mask focal loss learns.

A grid has cells of ``stride`` pixels a side. Cell (u, v) stands for the place
``((u + offset) * stride, (v + offset) * stride)`` in edge coordinates: ``offset=0.5`` where a
cell stands for its own middle, 0 where it stands for its top-left corner, as the anchors of
torchvision's detectors do. An object belongs to the cell nearest to the middle of its box.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops import gaussian_heatmap, small_object_sigma


def grid_centres(
    boxes: Tensor,  # (N, 4) x1, y1, x2, y2 in edge coordinates, pixels
    size: tuple[int, int],
    stride: float,
    offset: float = 0.5,
) -> Tensor:
    """(N, 2) middle of each box in cells, cell (0, 0) being at (0, 0), kept on the grid.

    ``size``: (h, w) of the grid. A middle within half a cell of the rim belongs to the rim's
    cell, so an object inside the picture always has a cell.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride - offset
    last = torch.tensor([size[1] - 1, size[0] - 1], dtype=middle.dtype, device=middle.device)
    return torch.minimum(middle.clamp_min(0), last)


def box_heatmap(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    size: tuple[int, int],
    *,
    stride: float,
    num_classes: int = 1,
    offset: float = 0.5,
    reduce: str = "sum",
    eta: float = 1.0,
    epsilon: float = 6.0,
) -> Tensor:
    """Gaussian heat map of boxes, one map a class: section 4.3.1 of Zhong et al., Mask Focal Loss.

    The width of each kernel follows eq. 10 from the box in cells; ``eta`` widens small objects,
    ``epsilon`` narrows all.
    ``reduce="sum"`` adds kernels up to at most 1, as mask focal loss has it, and draws each over
    all of its box, for the loss weighs every cell there by it; ``"max"`` keeps the greatest, as
    CenterNet has it, and cuts kernels at three deviations. The cell of each object is exactly 1
    (sums of kernels reach 1 elsewhere too where objects are crowded).

    Args:
        boxes: for each picture (N, 4) x1, y1, x2, y2 in edge coordinates, of area > 0 and with
            their middle in the picture.
        labels: for each picture (N,) int64, 0 .. num_classes - 1.
        size: (h, w) of the grid in cells.

    Returns:
        (B, num_classes, h, w) float32 in [0, 1].

    Raises:
        ValueError: a label out of range, a box that is not finite.
    """
    sides = [((each[:, 2:] - each[:, :2]) / stride).float() for each in boxes]
    sigmas = [small_object_sigma(each, eta=eta, epsilon=epsilon) for each in sides]
    truncate = 3.0
    if reduce == "sum" and any(len(each) for each in sides):
        # Half a box more than its cells reach, for a kernel begins at a whole cell.
        reach = (torch.cat(sides).amax(1) / 2 + 1) / torch.cat(sigmas)
        truncate = max(truncate, float(reach.max()))
    return gaussian_heatmap(
        [grid_centres(each, size, stride, offset).float() for each in boxes],
        size,
        sigmas,
        labels=list(labels),
        num_classes=num_classes,
        reduce=reduce,
        truncate=truncate,
    )


def box_mask(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    size: tuple[int, int],
    *,
    stride: float,
    num_classes: int = 1,
    offset: float = 0.5,
    shrink: float = 1.0,
) -> Tensor:
    """(B, num_classes, h, w) bool: the cells inside a box of the class, fig. 3 of Mask Focal Loss.

    A cell is inside where its own place is; the cell of each object is inside even where the box
    is too small to hold a cell's place. ``shrink``: boxes are first scaled about their middle
    (FoveaBox's positive area). Cost: O(N + h w), whatever the boxes' sizes. Boxes may reach
    beyond the picture. Arguments as for :func:`box_heatmap`.
    """
    height, width = size
    device = boxes[0].device if boxes else torch.device("cpu")
    # +1 where a rectangle begins and -1 behind its end; a running sum down and across fills it.
    steps = torch.zeros(
        len(boxes), num_classes, height + 1, width + 1, dtype=torch.int32, device=device
    )
    for edges, each, classes in zip(steps, boxes, labels, strict=True):
        first, behind = _rectangles(each, size, stride, offset, shrink)
        one = torch.ones(len(first), dtype=torch.int32, device=device)
        for x, y, sign in (
            (first[:, 0], first[:, 1], one),
            (behind[:, 0], first[:, 1], -one),
            (first[:, 0], behind[:, 1], -one),
            (behind[:, 0], behind[:, 1], one),
        ):
            edges.index_put_((classes.repeat(2), y, x), sign, accumulate=True)
    filled = steps.cumsum(2, dtype=torch.int32).cumsum(3, dtype=torch.int32)
    return filled[:, :, :height, :width] > 0


def owners(
    boxes: Tensor,  # (N, 4)
    size: tuple[int, int],
    *,
    stride: float,
    offset: float = 0.5,
    shrink: float = 1.0,
) -> Tensor:
    """(h * w,) int64: for each cell, row by row, the smallest box that it is inside of; -1: none.

    "Inside" as for :func:`box_mask`; of boxes of one area the first. Memory: O(h w + cells in
    all boxes), not h w N.
    """
    height, width = size
    number = len(boxes)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order = area.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(number, device=boxes.device)
    first, behind = _rectangles(boxes, size, stride, offset, shrink)
    extent = behind - first
    cells = extent.prod(1)
    rectangle = torch.repeat_interleave(torch.arange(2 * number, device=boxes.device), cells)
    begin = cells.cumsum(0) - cells
    within = torch.arange(len(rectangle), device=boxes.device) - begin[rectangle]
    across = extent[rectangle, 0]
    x = first[rectangle, 0] + within % across
    y = first[rectangle, 1] + torch.div(within, across, rounding_mode="floor")
    best = torch.full((height * width,), number, device=boxes.device)
    best.scatter_reduce_(0, y * width + x, rank[rectangle % number], "amin")
    return torch.cat([order, order.new_full((1,), -1)])[best]


def _rectangles(
    boxes: Tensor, size: tuple[int, int], stride: float, offset: float, shrink: float
) -> tuple[Tensor, Tensor]:
    """First cell and the one behind the last, (2 N, 2) x, y each, within the grid.

    The first N are the cells whose place is in the box, which may be none; the others are each
    object's own cell.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * shrink
    limit = torch.tensor([size[1], size[0]], device=boxes.device)
    first = ((middle - half) / stride - offset).ceil().long().clamp_min(0)
    first = torch.minimum(first, limit)
    behind = ((middle + half) / stride - offset).floor().long() + 1
    behind = torch.maximum(torch.minimum(behind, limit), first)
    own = (grid_centres(boxes, size, stride, offset).double() + 0.5).floor().long()
    return torch.cat([first, own]), torch.cat([behind, own + 1])
