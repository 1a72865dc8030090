"""MATLAB files of dots: every way in which one can be broken gives one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from fastcount.data.base import DatasetError


@contextmanager
def read_matlab(file: Path, *, name: str, holds: str) -> Iterator[dict[str, Any]]:
    """The variables of a MATLAB file, to be taken apart within the block.

    Whatever goes wrong in reading or in the block becomes a :class:`DatasetError` that names
    the file and what it should hold: SciPy raises nearly anything on a broken file.
    """
    try:
        yield scipy.io.loadmat(file)
    except Exception as error:
        raise DatasetError(
            f"{name}: cannot read {file} ({type(error).__name__}: {error}); expected a MATLAB "
            f"file with {holds}; unpack it from the archive again"
        ) from error


def finite_dots(values: Any) -> NDArray[np.float64]:
    """``values`` as (N, 2) finite numbers; MATLAB writes an empty set as (0, 0). ``ValueError``."""
    dots = np.asarray(values, dtype=np.float64)
    if dots.size == 0:
        return np.zeros((0, 2))
    if dots.ndim != 2 or dots.shape[1] != 2 or not np.isfinite(dots).all():
        raise ValueError(f"dots of shape {dots.shape}, expected finite (N, 2)")
    return dots
