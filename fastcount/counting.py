"""What a count is made of: the result type of every model and engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Counting:
    """What was counted in one picture.

    ``count``: number of objects, fractional where the model sums a density. ``size``: (H, W) of
    the picture in pixels. ``std``: standard error of ``count``, None where the model has none.
    ``density``: (h, w) objects a cell, of ``stride`` pixels a cell. ``points``: (N, 2) x, y in
    pixel indices, with ``scores`` (N,). ``boxes``: (N, 4) x1, y1, x2, y2. ``labels``: (N,) class
    of each point or box. ``per_class``: count by class name.
    """

    count: float
    size: tuple[int, int]
    std: float | None = None
    density: NDArray[np.float32] | None = None
    stride: float | None = None
    points: NDArray[np.float32] | None = None
    scores: NDArray[np.float32] | None = None
    boxes: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None
    per_class: dict[str, float] | None = None
