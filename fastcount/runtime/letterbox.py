"""A picture as networks want it that have no preprocessing inside."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime import native
from fastcount.runtime.tiling import Tiling, plan

Colour = tuple[float, float, float]


class Letterboxed(NamedTuple):
    """``pixels``: (3, H, W) float32. ``scaled``: (h, w) of the picture in its top left corner."""

    pixels: NDArray[np.float32]
    scaled: tuple[int, int]


def letterbox(
    picture: NDArray[Any],  # (H, W, 3) uint8 RGB
    size: tuple[int, int],
    *,
    mean: Colour = (0.0, 0.0, 0.0),
    std: Colour = (1.0, 1.0, 1.0),
    fill: tuple[int, int, int] = (124, 116, 104),
) -> Letterboxed:
    """``picture`` scaled in proportion to fit ``size`` (H, W), at the top left of ``fill``.

    Scaled as counters scale it: bilinear, antialiased. Then (value / 255 - ``mean``) / ``std``, a
    number each for red, green and blue. What this package exports does that itself, from uint8;
    this is for other networks.

    Raises ``TypeError`` unless ``picture`` is uint8, ``ValueError`` for another shape, a ``size``
    below 1, and a ``std`` of 0.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size: expected (height, width) of at least 1, got {size}")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"picture: expected pixels of the shape (H, W, 3), got {picture.shape}")
    place = Tiling(mode="resize", tile=(height, width), margin=0, align=1, fill=fill)
    scaled = plan((picture.shape[0], picture.shape[1]), place).scaled
    pixels = np.empty((3, height, width), np.float32)
    native.letterbox(picture, scaled, mean, std, fill, pixels)
    return Letterboxed(pixels, scaled)
