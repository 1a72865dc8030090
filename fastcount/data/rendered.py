"""Pictures that are rendered on demand and never stored."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcount.data.base import CountingDataset
from fastcount.data.sample import Annotation

Scene = tuple[NDArray[np.uint8], NDArray[np.float32]]


class Rendered(CountingDataset):
    """Pictures of ``size`` x ``size`` pixels, each a function of ``seed`` and its number alone.

    Raises ``ValueError`` for a ``root``, since there are no files, and a ``seed`` below 0.
    """

    rendered: ClassVar[bool] = True

    def __init__(self, root: str | Path, number: int, size: int, seed: int) -> None:
        if str(root) not in ("", "."):
            raise ValueError(f"{self.name}: its pictures lie nowhere: leave out {str(root)!r}")
        if seed < 0:
            raise ValueError(f"seed: need at least 0, got {seed}")
        self.size, self.seed = size, seed
        self.ids = tuple(f"{self.name}-{seed + i}" for i in range(number))
        self._last: tuple[int, Scene] | None = None

    @abstractmethod
    def render(self, index: int) -> Scene:
        """Picture ``index``, (size, size, 3), and the (N, 2) points of its objects."""

    def path(self, index: int) -> Path:
        """Raises ``FileNotFoundError``: there is no file."""
        raise FileNotFoundError(f"{self.ids[index]} is rendered, not stored: use picture({index})")

    def picture(self, index: int) -> NDArray[np.uint8]:
        return self._rendering(index)[0].copy()

    def annotation(self, index: int) -> Annotation:
        return Annotation.of_points(self._rendering(index)[1].copy())

    def _rendering(self, index: int) -> Scene:
        """The last one is kept: its picture and its annotation are asked for in turn."""
        if self._last is None or self._last[0] != index:
            self._last = index, self.render(index)
        return self._last[1]


class RenderedEmpty(Rendered):
    """Pictures with nothing to count in them, which :meth:`scenery` makes."""

    def __init__(
        self, root: str | Path = "", *, count: int = 100, size: int = 512, seed: int = 0
    ) -> None:
        if count < 1 or size < 16:
            raise ValueError(f"count, size: need at least 1 and 16, got {count} and {size}")
        super().__init__(root, count, size, seed)

    @abstractmethod
    def scenery(self, seed: int, size: int) -> NDArray[np.uint8]:
        """(size, size, 3), the same for the same arguments."""

    def render(self, index: int) -> Scene:
        return self.scenery(self.seed + index, self.size), np.zeros((0, 2), dtype=np.float32)
