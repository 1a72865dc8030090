"""Polygons over a picture: which cells of a grid they cover by how much, which points they hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def as_polygon(polygon: ArrayLike) -> Array:
    """(K, 2) float64 corners, K >= 3, not closed; a repeated last corner is dropped.

    Raises ``ValueError`` for another shape, for values that are not finite, and for a polygon
    that goes round twice or two of whose edges cross: what it encloses would be a matter of taste.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    if corners.ndim == 2 and len(corners) > 3 and (corners[0] == corners[-1]).all():
        corners = corners[:-1]
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(
            f"polygon: expected at least three corners (x, y), got the shape {corners.shape}"
        )
    if not np.isfinite(corners).all():
        raise ValueError("polygon: its corners must be finite numbers")
    following = np.roll(corners, -1, axis=0)
    edges = np.concatenate([corners, following], axis=1)[(corners != following).any(axis=1)]
    if len(np.unique(edges, axis=0)) < len(edges):
        raise ValueError("polygon: walks along one of its edges twice; list each corner once")
    crossing = _crossing(corners)
    if crossing is not None:
        raise ValueError(
            "polygon: its edges from corner {} and from corner {} cross; list the corners in "
            "order around the zone".format(*crossing)
        )
    return corners


def inside(corners: Array, points: Array) -> NDArray[np.bool_]:
    """(N,) whether each of ``points`` (N, 2) lies inside, by the even-odd rule.

    A point on an edge belongs to the side with the greater x (or y), so that zones which share
    an edge never count a point twice.
    """
    x, y = points[:, 0], points[:, 1]
    odd = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 > y1:  # one direction for both zones that share the edge, so the same rounding
            x0, y0, x1, y1 = x1, y1, x0, y0
        spans = (y0 <= y) & (y < y1)
        if spans.any():
            odd ^= spans & (x >= x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    return odd


def coverage(
    corners: Array,
    shape: tuple[int, ...],  # (h, w) cells
    cell: tuple[float, float],  # height and width of a cell in pixels
    size: tuple[int, int],  # (H, W) of the picture
) -> NDArray[np.float32]:
    """(h, w) the share of each cell's area inside the picture that the polygon covers, in [0, 1].

    Exact: the polygon is clipped to the picture, then each edge adds the signed area between
    itself and the right end of its row of cells, as scan converters of fonts do.
    """
    rows, columns = shape
    reach = np.array([min(size[1] / cell[1], columns), min(size[0] / cell[0], rows)])
    clipped = clip((corners + 0.5) / (cell[1], cell[0]), reach)
    cover = np.zeros((rows, columns + 1))
    for start, end in zip(clipped, np.roll(clipped, -1, axis=0), strict=True):
        _add_edge(cover, start, end)
    # An edge's share of "everything to the right of it" is summed up along the row.
    area = np.abs(np.cumsum(cover, axis=1)[:, :columns])
    height = np.clip(reach[1] - np.arange(rows), 0, 1)
    width = np.clip(reach[0] - np.arange(columns), 0, 1)
    whole = height[:, None] * width[None, :]
    share = np.divide(area, whole, out=np.zeros_like(area), where=whole > 1e-9)
    return np.asarray(share.clip(0, 1), np.float32)


def _add_edge(cover: Array, start: Array, end: Array) -> None:
    """Adds to ``cover`` (h, w + 1) the change of area that the edge makes at each column."""
    sign = 1.0 if end[1] > start[1] else -1.0
    (x0, y0), (x1, y1) = (start, end) if sign > 0 else (end, start)
    if y0 == y1:
        return
    slope = (x1 - x0) / (y1 - y0)
    for row in range(int(y0), min(int(np.ceil(y1)), len(cover))):
        top, bottom = max(y0, row), min(y1, row + 1)
        left, right = sorted((x0 + (top - y0) * slope, x0 + (bottom - y0) * slope))
        first, last = int(left), min(int(right), cover.shape[1] - 2)
        first = min(first, last)
        height = sign * (bottom - top)
        # Area right of the edge inside column c, minus what the running sum brings along.
        before = 0.0
        for column in range(first, last + 1):
            upto = _right_of(left, right, column) * height
            cover[row, column] += upto - before
            before = upto
        cover[row, last + 1] += height - before


def _right_of(left: float, right: float, column: int) -> float:
    """The share of unit column ``column`` right of an edge that runs from left to right."""
    low, high = column, column + 1
    if right <= low:
        return 1.0
    if left >= high:
        return 0.0
    if right - left < 1e-12:
        return high - left
    # Mean over the edge of clip(high - x, 0, 1), x uniform in [left, right].
    past = max(low - left, 0.0)
    a, b = max(left, low), min(right, high)
    return (past + (b - a) * (high - (a + b) / 2)) / (right - left)


def clip(corners: Array, reach: Array) -> Array:
    """(L, 2) what of the polygon (K, 2) lies in [0, reach], L = 0 where nothing does.

    Sutherland-Hodgman: edges that coincide on the rim cancel in an area.
    """
    for axis in (0, 1):
        for bound, sign in ((0.0, 1.0), (float(reach[axis]), -1.0)):
            kept: list[Array] = []
            for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                d0, d1 = sign * (start[axis] - bound), sign * (end[axis] - bound)
                if d0 >= 0:
                    kept.append(start)
                if (d0 >= 0) != (d1 >= 0):
                    crossing = start + (end - start) * (d0 / (d0 - d1))
                    crossing[axis] = bound
                    kept.append(crossing)
            if not kept:
                return np.zeros((0, 2))
            corners = np.array(kept)
    return corners


def _crossing(corners: Array) -> tuple[int, int] | None:
    """The first two edges that cross within both, or None."""
    starts, ends = corners, np.roll(corners, -1, axis=0)
    along = ends - starts

    def side(which: int, points: Array) -> Array:
        offset = points - starts[which]
        turned: Array = along[which, 0] * offset[:, 1] - along[which, 1] * offset[:, 0]
        return turned

    for one in range(len(corners)):
        apart = side(one, starts) * side(one, ends) < 0
        from_start = along[:, 0] * (starts[one, 1] - starts[:, 1]) - along[:, 1] * (
            starts[one, 0] - starts[:, 0]
        )
        from_end = along[:, 0] * (ends[one, 1] - starts[:, 1]) - along[:, 1] * (
            ends[one, 0] - starts[:, 0]
        )
        others = np.flatnonzero(apart & (from_start * from_end < 0))
        if len(others):
            return one, int(others[0])
    return None
