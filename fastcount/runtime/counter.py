"""Counts pictures of any size with any engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar, overload

import numpy as np

from fastcount.counting import Counting
from fastcount.pictures import MAX_PIXELS, PictureSource, open_picture
from fastcount.runtime.engine import Engine
from fastcount.runtime.stitching import Stitcher
from fastcount.runtime.tiling import cut, plan

Progress = Callable[[int, int], None]

T = TypeVar("T")


class Counter:
    """A network that takes pictures as they come: ``counter("street.jpg").count``.

    ``engine``: what runs the network. Memory: the picture (3 bytes a pixel), its density map, and
    what the network needs for ``batch_size`` tiles. Several threads may count with one counter.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def name(self) -> str:
        """The model's name."""
        return self.engine.name

    @overload
    def __call__(
        self,
        image: PictureSource,
        *,
        tile: int | tuple[int, int] | None = None,
        batch_size: int = 1,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Counting: ...

    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        *,
        tile: int | tuple[int, int] | None = None,
        batch_size: int = 1,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> list[Counting]: ...

    def __call__(
        self,
        image: PictureSource | list[Any] | tuple[Any, ...],
        *,
        tile: int | tuple[int, int] | None = None,
        batch_size: int = 1,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Counting | list[Counting]:
        """The counting of a picture, or of each of several.

        ``image``: whatever :func:`fastcount.pictures.open_picture` takes, or a list or tuple of it.
        ``tile``: side, or (height, width), in pixels of the largest piece that goes through the
        network at once; less means less memory. ``batch_size``: tiles at once. ``max_pixels``:
        larger pictures are refused. ``progress``: called with tiles done and tiles in all.

        The tiles of a convolutional network overlap by as far as it sees, so cutting does not
        change the count. But for models that look at their input as a whole: group norms
        (``fcos``, ``retinanet``, ``foveabox``) and CANNet's context are then those of a tile.
        ``yolov5`` sees a little from beyond its margin.

        Raises :class:`fastcount.pictures.PictureError` for a picture that cannot be read,
        ``ValueError`` for an argument that does not fit, ``TypeError`` for one of another type.
        """
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size: expected a whole number from 1 on, got {batch_size!r}")
        if isinstance(image, list | tuple):
            return [
                self(
                    one, tile=tile, batch_size=batch_size, max_pixels=max_pixels, progress=progress
                )
                for one in image
            ]
        picture = open_picture(image, max_pixels=max_pixels)
        tiling = self.engine.tiling
        cuts = plan((picture.shape[0], picture.shape[1]), tiling, tile)
        stitcher = Stitcher(cuts, self.engine.classes)
        done = 0
        at_once = batch_size * self.engine.batches_at_once
        for windows in _in_groups(cuts.windows(), at_once):
            batch = np.empty((len(windows), *cuts.tile, 3), np.uint8)
            for window, tile_pixels in zip(windows, batch, strict=True):
                cut(picture, cuts, window, tiling.fill, tile_pixels)
            for window, result in zip(windows, self.engine.run(batch), strict=True):
                stitcher.add(window, result)
            done += len(windows)
            if progress is not None:
                progress(done, len(cuts))
        return stitcher.result()


def _in_groups(items: Iterator[T], number: int) -> Iterator[list[T]]:
    while group := list(islice(items, number)):
        yield group
