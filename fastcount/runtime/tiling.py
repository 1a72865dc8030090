"""How a picture of any size is cut into pieces that a network takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime import native

_MAGNIFY = 8  # the most that "grid" magnifies the height of a strip to keep its proportions


@dataclass(frozen=True)
class Tiling:
    """How a network wants its pictures.

    ``mode="overlap"``: a fully convolutional network. Pictures up to ``tile`` (height, width) go
    through whole, padded at the right and bottom to multiples of ``align`` with the colour
    ``fill``; larger ones are cut into tiles that overlap by ``margin`` pixels on each inner side,
    of which only the core is kept. ``margin`` should reach as far as the network sees.

    ``mode="divide"``: a network of one fixed input size. The picture is cut into tiles of
    ``tile``, side by side, as it is; what of the last ones lies beyond it has the colour ``fill``.
    The counts of the tiles are added up (DeepCount's paper).

    ``mode="grid"``: the same, but the picture is resized so that whole tiles fit (DeepCount's
    public code).

    ``mode="resize"``: a network that gives one answer for a whole picture. The picture is scaled,
    up or down and in proportion, to the largest size within ``tile``, and padded to multiples of
    ``align`` with ``fill``. ``turn``: ``tile`` is (shorter, longer) side, and lies as the picture
    does.
    """

    mode: Literal["overlap", "divide", "grid", "resize"] = "overlap"
    tile: tuple[int, int] = (1536, 1536)
    margin: int = 128
    align: int = 8
    fill: tuple[int, int, int] = (124, 116, 104)
    turn: bool = False


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the (scaled) picture, ends excluded.

    ``start``, ``stop``: what the network sees; ``low``, ``high``: the core that it answers for.
    """

    start: int
    stop: int
    low: int
    high: int


@dataclass(frozen=True)
class Window:
    """One tile: its rows and its columns."""

    rows: Span
    columns: Span


@dataclass(frozen=True)
class Plan:
    """A picture cut into tiles.

    ``size``: (H, W) of the picture; ``scaled``: (H', W') it is resized to, the same for
    ``overlap`` and ``divide``; ``rows`` x ``columns`` are the tiles, all of one shape.
    """

    size: tuple[int, int]
    scaled: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def zoom(self) -> tuple[float, float]:
        """Pixels of the scaled picture a pixel of the picture, vertically and horizontally."""
        return self.scaled[0] / self.size[0], self.scaled[1] / self.size[1]

    @property
    def tile(self) -> tuple[int, int]:
        """(h, w) of every tile."""
        rows, columns = self.rows[0], self.columns[0]
        return rows.stop - rows.start, columns.stop - columns.start

    def windows(self) -> Iterator[Window]:
        """Row by row."""
        for rows in self.rows:
            for columns in self.columns:
                yield Window(rows, columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


def plan(size: tuple[int, int], tiling: Tiling, tile: int | tuple[int, int] | None = None) -> Plan:
    """Cuts a picture of ``size`` (H, W) as ``tiling`` says; ``tile`` overrides its tile size.

    Raises ``ValueError`` where ``tile`` is too small for the margins, or given for a network
    whose input size is fixed; ``TypeError`` where it is no whole number or pair of them.
    """
    if tile is None:
        sides = tiling.tile
    elif tiling.mode != "overlap":
        raise ValueError(
            f"tile: this model takes inputs of {tiling.tile[0]}x{tiling.tile[1]} only; leave it out"
        )
    else:
        sides = (tile, tile) if isinstance(tile, int) else tile
        pair = isinstance(sides, tuple | list) and len(sides) == 2
        if not pair or not all(isinstance(side, int) for side in sides):
            raise TypeError(f"tile: expected pixels a side, or (height, width), got {tile!r}")
    if tiling.mode == "overlap":
        rows, columns = (
            _overlapping(length, side, tiling) for length, side in zip(size, sides, strict=True)
        )
        return Plan(size, size, rows, columns)
    if tiling.mode == "divide":
        rows, columns = (
            _side_by_side(length, side) for length, side in zip(size, sides, strict=True)
        )
        return Plan(size, size, rows, columns)
    if tiling.mode == "grid":
        across = max(1, round(size[1] / sides[1]))
        down = max(1, round(sides[1] * across * size[0] / size[1] / sides[0]))
        # A strip a few pixels wide would be blown up to thousands of tiles.
        down = min(down, max(1, _MAGNIFY * size[0] // sides[0]))
        scaled = (down * sides[0], across * sides[1])
        rows, columns = (
            _side_by_side(length, side) for length, side in zip(scaled, sides, strict=True)
        )
        return Plan(size, scaled, rows, columns)
    if tiling.turn and size[0] > size[1]:
        sides = (sides[1], sides[0])
    zoom = min(sides[0] / size[0], sides[1] / size[1])
    scaled = (max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom)))
    rows, columns = ((Span(0, _up(length, tiling.align), 0, length),) for length in scaled)
    return Plan(size, scaled, rows, columns)


def _overlapping(length: int, side: int, tiling: Tiling) -> tuple[Span, ...]:
    """The tiles along one axis: all of one length, and every start and core aligned."""
    padded = _up(length, tiling.align)
    side = side // tiling.align * tiling.align
    margin = _up(tiling.margin, tiling.align)
    if padded <= side:
        return (Span(0, padded, 0, length),)
    step = side - 2 * margin
    if step < tiling.align:
        least = 2 * margin + tiling.align
        raise ValueError(
            f"tile: {side} pixels leave nothing between two margins of {margin}; "
            f"give at least {least}"
        )
    number = 1 + -(-(padded - side) // step)
    starts = [min(i * step, padded - side) for i in range(number)]
    cuts = [0, *(start + margin for start in starts[1:]), length]
    return tuple(
        Span(start, start + side, low, high)
        for start, low, high in zip(starts, cuts[:-1], cuts[1:], strict=True)
    )


def _side_by_side(length: int, side: int) -> tuple[Span, ...]:
    return tuple(
        Span(start, start + side, start, min(start + side, length))
        for start in range(0, length, side)
    )


def _up(length: int, align: int) -> int:
    return -(-length // align) * align


def cut(
    picture: NDArray[np.uint8],  # (H, W, 3)
    plan: Plan,
    window: Window,
    fill: tuple[int, int, int],
    out: NDArray[np.uint8] | None = None,  # (h, w, 3)
) -> NDArray[np.uint8]:
    """The (h, w, 3) pixels of one tile, what lies beyond the picture in the colour ``fill``.

    Of a plan that scales the picture they are bilinear and antialiased: those of the whole picture
    scaled by Pillow's ``Image.resize``, within 1 of 255 (within which Pillow's own versions differ
    where one side shrinks much more than the other). ``out`` is written and returned where it is
    given; it must be contiguous.

    Raises ``ValueError`` for an ``out`` of another shape.
    """
    shape = (*plan.tile, 3)
    if out is None:
        out = np.empty(shape, np.uint8)
    elif out.shape != shape:
        raise ValueError(f"out: expected the shape {shape} of the tile, got {out.shape}")
    native.cut(picture, plan.scaled, (window.rows.start, window.columns.start), fill, out)
    return out
