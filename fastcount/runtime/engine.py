"""What runs a network: the border between a counter and PyTorch, ONNX Runtime or TensorRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.tiling import Tiling


@dataclass(frozen=True, eq=False)
class TileResult:
    """What a network found in one tile; coordinates are pixel indices of the tile.

    ``count``: objects in the tile. ``std``: standard error of it. ``density``: (h, w) objects a
    cell of ``stride`` pixels. ``points``: (N, 2) x, y; ``boxes``: (N, 4) x1, y1, x2, y2,
    edges as in :class:`fastcount.Counting`; with ``scores`` and ``labels`` (N,). ``per_class``:
    count by class name.
    """

    count: float
    std: float | None = None
    density: NDArray[np.float32] | None = None
    stride: float | None = None
    points: NDArray[np.float32] | None = None
    scores: NDArray[np.float32] | None = None
    boxes: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None
    per_class: dict[str, float] | None = None


class Engine(Protocol):
    """A network ready to run. ``tiling`` says which pictures it takes.

    What has a value here is that of a class derived from this one, unless it says otherwise.
    """

    @property
    def name(self) -> str: ...

    @property
    def tiling(self) -> Tiling: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def largest_tile(self) -> tuple[int, int] | None:
        """(H, W) of the largest tile that it takes, None for any."""
        return None

    @property
    def batches_at_once(self) -> int:
        """How many times a batch it is to be given: more than 1 where it divides what it is given
        into batches and has more than one of them under way."""
        return 1

    def run(
        self,
        batch: NDArray[np.uint8],  # (B, h, w, 3) RGB
    ) -> list[TileResult]:
        """One result a tile, in order."""
