"""Engines without a network, whose right answers are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.engine import TileResult
from fastcount.runtime.tiling import Tiling


@dataclass
class DensityEngine:
    """A convolution in NumPy: brightness, box-filtered over ``2 * reach + 1``, summed by cells."""

    tiling: Tiling
    stride: int = 8
    reach: int = 12
    name: str = "box"
    classes: tuple[str, ...] = ("object",)
    largest_tile: ClassVar[None] = None
    batches_at_once: ClassVar[int] = 1
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, batch: NDArray[np.uint8]) -> list[TileResult]:
        self.shapes.append(batch.shape)
        return [self._one(tile) for tile in batch]

    def _one(self, tile: NDArray[np.uint8]) -> TileResult:
        grey = tile[:, :, 1].astype(np.float64) / 255e3
        for axis in (0, 1):
            total = np.cumsum(np.pad(grey, [(self.reach + 1, self.reach)] * 2), axis=axis)
            width = 2 * self.reach + 1
            low = np.take(total, range(total.shape[axis] - width), axis)
            grey = (np.take(total, range(width, total.shape[axis]), axis) - low) / width
            other = [slice(None)] * 2
            other[1 - axis] = slice(self.reach + 1, total.shape[1 - axis] - self.reach)
            grey = grey[tuple(other)]
        height, width = (side // self.stride for side in grey.shape)
        cells = grey.reshape(height, self.stride, width, self.stride).sum(axis=(1, 3))
        return TileResult(float(cells.sum()), density=cells.astype(np.float32), stride=self.stride)


@dataclass
class DotEngine:
    """Finds pixels of pure red; each is a point and a box of 3 x 3 about it.

    ``shift``: how far up and left of the pixel's centre its point is put.
    """

    tiling: Tiling
    boxes: bool = False
    shift: float = 0.0
    name: str = "dots"
    classes: tuple[str, ...] = ("even", "odd")
    largest_tile: ClassVar[None] = None
    batches_at_once: ClassVar[int] = 1

    def run(self, batch: NDArray[np.uint8]) -> list[TileResult]:
        return [self._one(tile) for tile in batch]

    def _one(self, tile: NDArray[np.uint8]) -> TileResult:
        y, x = np.nonzero((tile == (255, 0, 0)).all(axis=2))
        points = np.stack([x, y], axis=1).astype(np.float32) - np.float32(self.shift)
        labels = (tile[y, x, 0] + y + x).astype(np.int64) % 2  # only parity of the tile's corner
        return TileResult(
            count=float(len(points)),
            points=None if self.boxes else points,
            boxes=np.concatenate([points - 1, points + 2], axis=1) if self.boxes else None,
            scores=np.linspace(0.5, 1, len(points), dtype=np.float32),
            labels=labels,
            per_class={
                name: float((labels == number).sum()) for number, name in enumerate(self.classes)
            },
        )


@dataclass
class TotalEngine:
    """Gives only a total: the brightness of the tile, with an error of 1."""

    tiling: Tiling
    name: str = "total"
    classes: tuple[str, ...] = ("object",)
    largest_tile: ClassVar[None] = None
    batches_at_once: ClassVar[int] = 1

    def run(self, batch: NDArray[np.uint8]) -> list[TileResult]:
        return [TileResult(float(tile[:, :, 0].sum()) / 255, std=1.0) for tile in batch]
