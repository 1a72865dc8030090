"""RAZ-Net's further looks without PyTorch: what they replace, and one count of points and density.

The same as :mod:`fastcount.models.parts.zooming` and :mod:`~fastcount.models.parts.grid_fusion`,
in the same precision.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.description import Zoom
from fastcount.runtime.engine import TileResult
from fastcount.runtime.regions import Regions, propose_regions

ZOOM = 2

Points = NDArray[np.float32]  # [N, 2] x, y
Scores = NDArray[np.float32]  # [N]
Parts = NDArray[np.float32]  # [N, h, w, 3] in [0, 1]


@dataclass(frozen=True)
class Seen:
    """What the zooming network sees in a part: points in its pixels, their scores, and the
    ``attention`` (h, w) for the next look, None where there is none."""

    points: Points
    scores: Scores
    attention: NDArray[np.float32] | None = None


Look = Callable[[Parts], list[Seen]]


def look_again(
    result: TileResult,
    attention: NDArray[np.float32],  # [H, W] >= 0
    picture: NDArray[np.uint8],  # [H, W, 3]
    look: Look,
    zoom: Zoom,
) -> TileResult:
    """``result`` of Main-Net with the points of its most crowded regions replaced.

    ``look``: what the zooming network sees in parts of a picture that are enlarged twice.
    """
    assert result.points is not None
    assert result.scores is not None
    pixels = picture.astype(np.float32) / np.float32(255)
    first = Seen(result.points, result.scores, attention)
    points, scores = _looked(first, pixels, look, zoom.depth - 1)
    if zoom.theta is None:
        return replace(result, count=float(len(points)), points=points, scores=scores)
    assert result.density is not None
    assert result.stride is not None
    located = _points_per_cell(points, result.density, result.stride)
    fused = _fused(result.density, located, np.array(zoom.theta, np.float32))
    return replace(result, count=float(fused.sum()), density=fused, points=points, scores=scores)


def _looked(
    seen: Seen, picture: NDArray[np.float32], look: Look, further: int
) -> tuple[Points, Scores]:
    """The points of ``seen``, those in crowded regions replaced by ``further`` looks at them."""
    if further == 0:
        return seen.points, seen.scores
    assert seen.attention is not None
    regions = propose_regions(seen.attention)
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (x1, y1, x2, y2) in enumerate(regions.tolist()):
        by_size[y2 - y1, x2 - x1].append(number)
    inner: dict[int, tuple[Points, Scores]] = {}
    for numbers in by_size.values():
        corners = regions[numbers].tolist()
        parts = enlarged(np.stack([picture[y1:y2, x1:x2] for x1, y1, x2, y2 in corners]))
        for number, part, again in zip(numbers, parts, look(parts), strict=True):
            points, scores = _looked(again, part, look, further - 1)
            half, zoomed = np.float32(0.5), np.float32(ZOOM)  # an index plus a half is a length
            back = (points + half) / zoomed - half + regions[number, :2].astype(np.float32)
            inner[number] = back, scores
    ordered = [inner[number] for number in range(len(regions))]
    return _replaced([(seen.points, seen.scores), *ordered], regions)


def enlarged(parts: Parts) -> Parts:
    """(N, h, w, C) to (N, 2 h, 2 w, C), bilinear: the middles of pixels stay where they are."""
    return _doubled(_doubled(parts, axis=2), axis=1)


def _doubled(values: Parts, axis: int) -> Parts:
    values = np.moveaxis(values, axis, 0)
    before = np.concatenate([values[:1], values[:-1]])
    behind = np.concatenate([values[1:], values[-1:]])
    near, far = np.float32(0.75), np.float32(0.25)
    double = np.empty((2 * len(values), *values.shape[1:]), np.float32)
    double[0::2] = far * before + near * values
    double[1::2] = near * values + far * behind
    return np.moveaxis(double, 0, axis)


def _replaced(found: list[tuple[Points, Scores]], regions: Regions) -> tuple[Points, Scores]:
    """The first of ``found`` outside all ``regions``, and each other one inside its own, where
    no region before it lies."""
    low, high = regions[:, :2] - np.float32(0.5), regions[:, 2:] - np.float32(0.5)
    points, scores = [], []
    for number, (own, sure) in enumerate(found):
        inside: NDArray[np.bool_] = (own[:, None] >= low) & (own[:, None] < high)
        covered = np.asarray(inside.all(axis=2))  # (N, R)
        if number == 0:
            keep = ~covered.any(axis=1)
        else:
            keep = covered[:, number - 1] & ~covered[:, : number - 1].any(axis=1)
        points.append(own[keep])
        scores.append(sure[keep])
    return np.concatenate(points), np.concatenate(scores)


def _points_per_cell(
    points: Points, like: NDArray[np.float32], stride: float
) -> NDArray[np.float32]:
    height, width = like.shape
    cell = np.floor((points + np.float32(0.5)) / np.float32(stride)).astype(np.int64)
    x, y = cell[:, 0].clip(0, width - 1), cell[:, 1].clip(0, height - 1)
    numbers = np.bincount(y * width + x, minlength=height * width)
    return numbers.reshape(height, width).astype(np.float32)


def _fused(
    density: NDArray[np.float32], located: NDArray[np.float32], theta: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The density where the mean of both holds at least ``theta`` in a grid's cell, else the mean
    (RAZ-Net, Liu et al. 2019, eq. 4)."""
    mean = (density + located) / 2
    rows, columns = (
        (np.arange(side) * 2 + 1) * grid // (2 * side)
        for side, grid in zip(density.shape, theta.shape, strict=True)
    )
    counts = np.zeros_like(theta)
    np.add.at(counts, (rows[:, None], columns[None]), mean)
    alone: NDArray[np.bool_] = (counts >= theta)[rows[:, None], columns[None]]
    return np.where(alone, density, mean)
