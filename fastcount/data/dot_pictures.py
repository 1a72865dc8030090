"""Annotations drawn as a picture: one lit pixel an object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcount.data.base import DatasetError
from fastcount.data.drawn import read_drawn


def read_dots(file: Path, over: Path, *, name: str) -> NDArray[np.float32]:
    """(N, 2) x, y of the lit pixels of a dot picture, row by row.

    Every lit pixel is one object, also where two of them touch: cells lie that close. Raises
    :class:`DatasetError` for a file that is no picture of dots; ``over`` and other errors: see
    :func:`~fastcount.data.drawn.read_drawn`.
    """
    lit = read_drawn(file, over, name=name, mode="RGB").max(axis=2) > 0
    if lit.mean() > 0.05:  # the densest real ones are below 0.005
        raise DatasetError(
            f"{name}: {file} has {int(lit.sum())} lit pixels, too many for a picture of dots; "
            "dots are single lit pixels on black, in a lossless format"
        )
    rows, columns = np.nonzero(lit)
    return np.stack([columns, rows], axis=1).astype(np.float32)
