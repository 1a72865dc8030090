"""Puts the answers for tiles together to the answer for a picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastcount.counting import Counting
from fastcount.runtime import native
from fastcount.runtime.engine import TileResult
from fastcount.runtime.tiling import Plan, Span, Window

Floats = NDArray[np.float32]


class Stitcher:
    """Collects tile by tile and holds no more than the density map and the points found.

    Of each tile only what lies in its core is kept: the cells of its density, the points, and the
    boxes whose centre lies there. Where a network's count is more than the sum of those (a count
    regressed beside a density, or a mere total), the difference is shared out by area:

        contribution = kept + (count - found) * core area / tile area,

    areas being those inside the picture. A tile that is kept whole thus contributes its count.
    """

    def __init__(self, plan: Plan, classes: tuple[str, ...]) -> None:
        self._plan = plan
        self._classes = classes
        self._count = 0.0
        self._variance = 0.0
        self._has_std = False
        self._per_class: dict[str, float] | None = None
        self._density: Floats | None = None
        self._stride = 0.0
        self._lists: dict[str, list[NDArray[np.generic]]] = {}

    def add(self, window: Window, result: TileResult) -> None:
        """Takes the answer for the tile ``window``.

        Raises ``ValueError`` where the count is not a finite number or the density does not fit.
        """
        if not math.isfinite(result.count):
            raise ValueError(
                f"the model's count is {result.count}: its weights are spoilt, or this picture "
                "needs more than half precision"
            )
        share = _share(window, self._plan.scaled)
        keep = self._keep(window, result)
        found = kept = 0.0
        if result.density is not None:
            found, kept = self._place(window, result.density, result.stride)
        elif keep is not None:
            found, kept = float(len(keep)), float(np.count_nonzero(keep))
        self._count += kept + (result.count - found) * share
        if result.std is not None:
            self._has_std = True
            self._variance += result.std**2 * share
        self._add_classes(result, keep, share)

    def result(self) -> Counting:
        """The counting of the whole picture, in its own pixels."""
        zoom = self._plan.zoom
        stride: float | tuple[float, float] | None = None
        if self._density is not None:
            stride = (self._stride / zoom[0], self._stride / zoom[1])
            if stride[0] == stride[1]:
                stride = stride[0]
        found = {name: np.concatenate(parts) for name, parts in self._lists.items()}
        return Counting(
            count=self._count,
            size=self._plan.size,
            std=math.sqrt(self._variance) if self._has_std else None,
            density=self._density,
            stride=stride,
            points=_unscale(found.get("points"), zoom, 0.5),
            scores=found.get("scores"),
            boxes=_unscale(found.get("boxes"), zoom, 0.0),
            labels=found.get("labels"),
            per_class=self._per_class,
        )

    def _keep(self, window: Window, result: TileResult) -> NDArray[np.bool_] | None:
        """Stores what lies in the core; (N,) whether each object does, None without objects."""
        rows, columns = window.rows, window.columns
        if result.points is not None:
            # Pixel n reaches from n - 0.5 to n + 0.5: with 0.5 added, indices become edges.
            middles = result.points.astype(np.float64) + 0.5
        elif result.boxes is not None:
            middles = (result.boxes[:, :2].astype(np.float64) + result.boxes[:, 2:]) / 2
        else:
            return None
        x, y = middles[:, 0] + columns.start, middles[:, 1] + rows.start
        keep: NDArray[np.bool_] = (
            (x >= columns.low) & (x < columns.high) & (y >= rows.low) & (y < rows.high)
        )
        offset = np.array([columns.start, rows.start], np.float32)
        if result.points is not None:
            self._append("points", result.points[keep] + offset)
        if result.boxes is not None:
            self._append("boxes", result.boxes[keep] + np.tile(offset, 2))
        if result.scores is not None:
            self._append("scores", result.scores[keep])
        if result.labels is not None:
            self._append("labels", result.labels[keep])
        return keep

    def _append(self, name: str, values: NDArray[np.generic]) -> None:
        self._lists.setdefault(name, []).append(values)

    def _place(self, window: Window, density: Floats, stride: float | None) -> tuple[float, float]:
        """Copies the core of a tile's density into the map; the sums of the tile and the core."""
        rows, columns = window.rows, window.columns
        if not stride or any(
            abs((span.stop - span.start) / stride - cells) > 1e-6
            for span, cells in zip((rows, columns), density.shape, strict=True)
        ):
            tile = f"{rows.stop - rows.start}x{columns.stop - columns.start}"
            raise ValueError(
                f"density: {density.shape[0]}x{density.shape[1]} cells of stride {stride} do not "
                f"make a tile of {tile} pixels"
            )
        if self._density is None:
            height, width = (math.ceil(side / stride - 1e-6) for side in self._plan.scaled)
            self._density = np.zeros((height, width), np.float32)
            self._stride = stride
        v0, v1, u0, u1 = *_cells(rows, stride), *_cells(columns, stride)
        top, left = round(rows.start / stride), round(columns.start / stride)
        core = (v0 - top, v1 - top, u0 - left, u1 - left)
        return native.place_core(density, core, self._density, (v0, u0))

    def _add_classes(
        self, result: TileResult, keep: NDArray[np.bool_] | None, share: float
    ) -> None:
        if result.per_class is None:
            return
        if self._per_class is None:
            self._per_class = {}
        for number, name in enumerate(self._classes):
            found = kept = 0.0
            if keep is not None and result.labels is not None:
                mine = result.labels == number
                found, kept = float(mine.sum()), float((mine & keep).sum())
            count = kept + (result.per_class.get(name, 0.0) - found) * share
            self._per_class[name] = self._per_class.get(name, 0.0) + count


def _share(window: Window, size: tuple[int, int]) -> float:
    """Area of the core over the area of the tile, both within the picture."""
    share = 1.0
    for span, length in zip((window.rows, window.columns), size, strict=True):
        share *= (span.high - span.low) / (min(span.stop, length) - span.start)
    return share


def _cells(span: Span, stride: float) -> tuple[int, int]:
    """The cells of the core: a cell cut by the picture's rim is in, one beyond it is not."""
    return round(span.low / stride), math.ceil(span.high / stride - 1e-6)


def _unscale(
    coordinates: NDArray[np.generic] | None, zoom: tuple[float, float], to_edges: float
) -> Floats | None:
    """Back to pixels of the picture; only edges scale, so indices become edges and back."""
    if coordinates is None:
        return None
    per_axis = np.resize(np.array([zoom[1], zoom[0]]), coordinates.shape[1])
    values = (coordinates.astype(np.float64) + to_edges) / per_axis - to_edges
    return values.astype(np.float32)
