"""Which parts of a picture RAZ-Net zooms into (Liu et al., CVPR 2019, section 3.1, Figure 4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.native import nms

RATIOS = (1.0, 0.5, 2.0)  # height to width
SCALES = (1.0, 2.0)  # of a square with a third of the shorter edge
_LEAST_SIDE = 8  # pixels; a network of stride 8 sees nothing in less

Regions = NDArray[np.int64]  # [R, 4] x1, y1, x2, y2, edges: x1 <= column < x2


def propose_regions(
    attention: NDArray[np.floating[Any]],  # [H, W] >= 0
    *,
    interest_points: int = 200,
    threshold: float = 0.01,
    overlap: float = 0.5,
    limit: int = 10,
) -> Regions:
    """The regions worth a second look, the most crowded first.

    ``interest_points`` m are drawn from ``attention``, each pixel as likely as its attention says,
    always by the same random numbers: the same map gives the same regions. Around each lie anchors
    of three ratios and two scales, cut off at the border: the small square's side is a third of
    the shorter edge, the large one's twice that, and those of other ratios have the same areas.
    Anchors whose mean attention is below ``threshold`` (theta_z) are dropped; of two with an
    intersection over union above ``overlap`` the one of lower mean goes; of the rest the ``limit``
    (k_z) best stay.

    Raises ``ValueError`` for an attention that is not (H, W).
    """
    if attention.ndim != 2:
        raise ValueError(f"attention: need one map (H, W), got {attention.shape}")
    values = attention.astype(np.float64)
    height, width = values.shape
    cumulative = values.ravel().cumsum()
    if cumulative.size == 0 or not cumulative[-1] > 0:
        return np.zeros((0, 4), np.int64)
    draws = _draws(interest_points) * cumulative[-1]
    chosen = np.searchsorted(cumulative, draws, side="right").clip(max=cumulative.size - 1)
    boxes = _anchors(np.stack([chosen % width, chosen // width], axis=1), (height, width))
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    x1, y1, x2, y2 = boxes.T
    means = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    means /= (x2 - x1) * (y2 - y1)
    crowded = means >= threshold
    boxes, means = boxes[crowded], means[crowded]
    labels = np.zeros(len(boxes), np.int64)
    kept = nms(boxes.astype(np.float32), means.astype(np.float32), labels, overlap)
    regions: Regions = boxes[kept[:limit]]
    return regions


def _draws(number: int) -> NDArray[np.float64]:
    """The first float64 numbers in [0, 1) that PyTorch draws from seed 0, of 53 bits each."""
    words = np.random.RandomState(0).randint(0, 2**32, 2 * number, np.uint32)
    high, low = words.astype(np.uint64).reshape(-1, 2).T
    bits = ((high << np.uint64(32)) | low) & np.uint64(2**53 - 1)
    return bits.astype(np.float64) * 2.0**-53


def _anchors(centres: NDArray[np.int64], size: tuple[int, int]) -> Regions:
    """(6 N, 4): each scale and ratio around each of the (N, 2) pixels, cut off at the border."""
    sides = [
        (side * math.sqrt(ratio), side / math.sqrt(ratio))
        for side in (scale * min(size) / 3 for scale in SCALES)
        for ratio in RATIOS
    ]
    rounded = np.rint(np.array(sides, np.float32)).astype(np.int64).clip(min=_LEAST_SIDE)
    extent = rounded[None, :, ::-1]  # x, y
    low = centres[:, None] - extent // 2
    high = low + extent
    limits = np.array([size[1], size[0]])
    return np.concatenate([low.clip(min=0), np.minimum(high, limits)], axis=2).reshape(-1, 4)
