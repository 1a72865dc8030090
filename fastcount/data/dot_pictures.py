"""Annotations drawn as a picture: one lit pixel an object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcount.data.base import DatasetError
from fastcount.pictures import PictureError, open_undecoded


def read_dots(file: Path, *, name: str) -> NDArray[np.float32]:
    """(N, 2) x, y of the lit pixels of a dot picture, row by row.

    Every lit pixel is one object, also where two of them touch: cells lie that close. Raises
    :class:`DatasetError` for a file that is no picture of dots.
    """
    try:
        with open_undecoded(file) as picture:
            pixels = np.array(picture.convert("RGB"))
    except PictureError as error:
        raise DatasetError(f"{name}: {error}") from error
    lit = pixels.max(axis=2) > 0
    if lit.mean() > 0.05:  # the densest real ones are below 0.005
        raise DatasetError(
            f"{name}: {file} has {int(lit.sum())} lit pixels, too many for a picture of dots; "
            "dots are single lit pixels on black, in a lossless format"
        )
    rows, columns = np.nonzero(lit)
    return np.stack([columns, rows], axis=1).astype(np.float32)
