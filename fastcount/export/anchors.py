"""Anchors and cells of a pyramid's levels as tables to look places up in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.export.peaks import coordinates


def level_anchors(size: Sequence[int], stride: int, own: Tensor) -> Tensor:
    """(h w A, 4) torchvision's: the anchors (A, 4) of a cell, moved to each cell of a level."""
    corner = corners(size, like=own) * stride
    return (corner.repeat(1, 2)[:, None] + own).reshape(-1, 4)


def corners(size: Sequence[int], *, like: Tensor) -> Tensor:
    """(h w, 2) float32 x, y of each cell of a map, in cells."""
    maps = torch.zeros((), device=like.device).expand(*size)
    return coordinates(maps)


def anchor_and_label(place: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The anchor and the class of a ``place`` among anchors of ``classes`` classes each."""
    if classes == 1:
        return place, torch.zeros_like(place)
    anchor = torch.div(place, classes, rounding_mode="floor")
    return anchor, place - anchor * classes


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 4) ``boxes`` cut off at the borders of a picture of ``size`` (H, W)."""
    # A tensor, for a side that is free is no number.
    width, height = (torch.arange(side, side + 1).to(boxes) for side in (size[1], size[0]))
    limits = torch.cat([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)
