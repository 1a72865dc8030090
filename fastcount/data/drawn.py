"""Annotations drawn over a picture, pixel for pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.data.base import DatasetError
from fastcount.pictures import PictureError, open_undecoded, upright_size


def read_drawn(
    file: Path, over: Path, *, name: str, mode: str | None = None
) -> NDArray[np.generic]:
    """(H, W) or (H, W, C) of what ``file`` has drawn over the picture ``over``.

    Values are as stored (a palette's indices), or converted to Pillow's ``mode``. ``name``: of
    the data set. Raises :class:`DatasetError` where ``file`` is no picture, or one of another
    size, whose places would mean nothing; :class:`PictureError` where ``over`` is none.
    """
    try:
        with open_undecoded(file) as picture:
            drawn: NDArray[Any] = np.array(picture if mode is None else picture.convert(mode))
    except PictureError as error:
        raise DatasetError(f"{name}: {error}") from error
    size = upright_size(over)
    if drawn.shape[:2] != size:
        raise DatasetError(
            f"{name}: {file} has {drawn.shape[0]} x {drawn.shape[1]} pixels (rows x columns) and "
            f"{over.name}, upright, {size[0]} x {size[1]}; draw on the picture itself"
        )
    return drawn
