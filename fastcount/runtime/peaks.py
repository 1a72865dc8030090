"""Local maxima of score maps, without PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime import native


class Peaks(NamedTuple):
    """Peaks of a batch of maps, sorted by image, then channel, then falling score."""

    points: NDArray[np.float32]  # (M, 2) x and y in pixel indices of the map
    scores: NDArray[Any]  # (M,) of the maps' dtype
    batch: NDArray[np.int64]  # (M,)
    channel: NDArray[np.int64]  # (M,)


def find_peaks(
    scores: NDArray[Any],  # (B, C, H, W)
    *,
    kernel_size: int = 3,
    threshold: float = 0.5,
    smooth: int = 0,
    max_peaks: int | None = None,
) -> Peaks:
    """Pixels that no pixel of the window around them exceeds: ``fastcount.ops.find_peaks``.

    The same peaks from the same native code, for arrays. ``scores``: float16, float32 or float64,
    H and W at most 2^24; float16 is computed in float32. The other arguments are those of the
    operator.

    Raises ``TypeError`` for another dtype, ``ValueError`` for a wrong shape, an even or
    non-positive ``kernel_size``, a threshold of NaN, a ``smooth`` other than 0 and 3, and
    ``max_peaks < 1``.
    """
    half = scores.dtype == np.float16
    points, found, batch, channel = native.find_peaks(
        scores.astype(np.float32) if half else scores, kernel_size, threshold, smooth, max_peaks
    )
    return Peaks(points, found.astype(np.float16) if half else found, batch, channel)
