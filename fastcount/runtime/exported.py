"""What all exported networks have in common, whatever runs them: arrays in, tile results out."""

from __future__ import annotations

import itertools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.description import Description
from fastcount.runtime.engine import Engine, TileResult
from fastcount.runtime.found import AGAIN, tile_results
from fastcount.runtime.tiling import Tiling
from fastcount.runtime.zooming import Parts, Seen, look_again

Pixels = NDArray[np.uint8]
Network = Callable[[Pixels], list[TileResult]]
Networks = Callable[[Iterator[Pixels]], Iterable[list[TileResult]]]

Inputs = dict[str, NDArray[Any]]
Outputs = dict[str, NDArray[Any]]

INPUT = "images"
# Of a file with two networks: enlarged parts of a picture, (N, h, w, 3) float32 in [0, 1].
PARTS = "parts"
# A side of what is given to that one of the two networks whose outputs are not wanted.
_BLANK = 32


@dataclass(frozen=True)
class InputShape:
    """What a network was exported for. ``batch``: pictures at once; ``size``: (H, W). None: any."""

    batch: int | None
    size: tuple[int, int] | None

    def run(self, tiles: Pixels, fill: tuple[int, int, int], network: Network) -> list[TileResult]:
        """The results of ``network`` for (B, h, w, 3) ``tiles``, which are made to fit it.

        Smaller tiles are padded at the right and bottom with the colour ``fill``, incomplete
        batches with pictures of that colour; what the network finds in the padding is left out.
        Raises ``ValueError`` for tiles larger than the network's input.
        """
        return self.run_all(tiles, fill, lambda batches: map(network, batches))

    def run_all(
        self, tiles: Pixels, fill: tuple[int, int, int], networks: Networks
    ) -> list[TileResult]:
        """:meth:`run` with a network that takes one batch after the other, in its own time."""
        number, height, width = tiles.shape[:3]
        size = self.size or (height, width)
        if height > size[0] or width > size[1]:
            raise ValueError(
                f"tile: this model was exported for {size[0]}x{size[1]}, got {height}x{width}; "
                "leave it out, or export the model with --dynamic"
            )
        found = networks(self.batches(tiles, size, fill))
        results = list(itertools.chain.from_iterable(found))
        return [_trim(one, (height, width)) for one in results[:number]]

    def batches(
        self, tiles: NDArray[Any], size: tuple[int, int], fill: tuple[int, int, int]
    ) -> Iterator[NDArray[Any]]:
        """``tiles`` in batches of the network's number, padded with ``fill`` to ``size``."""
        number, height, width = tiles.shape[:3]
        at_once = self.batch or number
        for start in range(0, number, at_once):
            group = tiles[start : start + at_once]
            if group.shape[:3] == (at_once, *size):
                yield group
                continue
            fitting = np.empty((at_once, *size, 3), tiles.dtype)
            fitting[:] = fill
            fitting[: len(group), :height, :width] = group
            yield fitting


def model_file(path: str | os.PathLike[str]) -> Path:
    """``path``, at which there is a file. Raises ``FileNotFoundError`` where there is none."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: there is no model file {path}")
    return path


class ExportedEngine(Engine, ABC):
    """An engine whose network comes out of a file: all of it but the running.

    ``description``: what the file says of itself.
    """

    #: Held while a batch is run: a lock where only one thread may do so at a time.
    _turn: AbstractContextManager[object] = nullcontext()

    def __init__(self, description: Description) -> None:
        self.description = description
        self.shape = InputShape(description.batch, description.size)

    @property
    def name(self) -> str:
        return self.description.model

    @property
    def largest_tile(self) -> tuple[int, int] | None:
        """(H, W) that the file was exported for, None for any."""
        return self.shape.size

    @property
    def tiling(self) -> Tiling:
        return self.description.tiling

    @property
    def classes(self) -> tuple[str, ...]:
        return self.description.classes

    def run(
        self,
        batch: NDArray[np.uint8],  # (B, h, w, 3) RGB
    ) -> list[TileResult]:
        """One result a tile, in order."""
        with self._turn:
            return self.shape.run_all(batch, self.tiling.fill, self._all_results)

    def _all_results(self, batches: Iterator[Pixels]) -> Iterator[list[TileResult]]:
        if self.description.zoom is not None:
            yield from map(self._zoomed_results, batches)
            return
        for outputs in self._networks(batches):
            yield tile_results(outputs, self.description)

    def _networks(self, batches: Iterator[Pixels]) -> Iterator[Outputs]:
        """What :meth:`_network` gives for each of ``batches``, in order."""
        yield from map(self._network, batches)

    def _zoomed_results(self, pixels: Pixels) -> list[TileResult]:
        zoom = self.description.zoom
        assert zoom is not None
        outputs = self._network(pixels)
        firsts = tile_results(outputs, self.description)
        return [
            look_again(first, attention[0], picture, self._look, zoom)
            for first, attention, picture in zip(firsts, outputs["attention"], pixels, strict=True)
        ]

    def _look(self, parts: Parts) -> list[Seen]:
        """What the second network sees in each of the ``parts``."""
        seen = []
        for batch in self.shape.batches(parts, parts.shape[1:3], (0, 0, 0)):
            outputs = self._network_again(batch)
            named = {name.removeprefix(AGAIN): values for name, values in outputs.items()}
            attention = named.pop("attention", itertools.repeat(None))
            for found, again in zip(tile_results(named, self.description), attention, strict=False):
                assert found.points is not None
                assert found.scores is not None
                seen.append(Seen(found.points, found.scores, None if again is None else again[0]))
        return seen[: len(parts)]

    def _inputs(self, pixels: Pixels | None = None, parts: Parts | None = None) -> Inputs:
        """What the file is to be given by name; of the network that is not wanted, next to
        nothing."""
        number, size = self.shape.batch or 1, self.shape.size or (_BLANK, _BLANK)
        if pixels is None:
            pixels = np.zeros((number, *size, 3), np.uint8)
        inputs: Inputs = {INPUT: pixels}
        if self.description.zoom is not None:
            blank = np.zeros((number, _BLANK, _BLANK, 3), np.float32)
            inputs[PARTS] = blank if parts is None else parts
        return inputs

    @abstractmethod
    def _network(self, pixels: Pixels) -> Outputs:
        """The outputs by name for (B, h, w, 3) RGB ``pixels`` of a size that the file takes."""

    @abstractmethod
    def _network_again(self, parts: Parts) -> Outputs:
        """The second network's outputs by name for enlarged ``parts`` of a picture."""


def _trim(result: TileResult, size: tuple[int, int]) -> TileResult:
    """Without what was found beyond ``size``: cells and objects, and what they add to the count.

    As between the tiles of a picture, a box lies where its middle does. What cells beyond add to
    the classes is shared out among them by their counts.
    """
    result = _trim_objects(result, size)
    if result.density is None or not result.stride:
        return result
    height, width = (math.ceil(side / result.stride) for side in size)
    if result.density.shape == (height, width):
        return result
    kept = result.density[:height, :width]
    beyond = float(result.density.sum(dtype=np.float64) - kept.sum(dtype=np.float64))
    per_class = result.per_class
    if per_class and result.count:
        share = 1 - beyond / result.count
        per_class = {name: count * share for name, count in per_class.items()}
    return replace(result, count=result.count - beyond, density=kept, per_class=per_class)


def _trim_objects(result: TileResult, size: tuple[int, int]) -> TileResult:
    middles: NDArray[Any] | None = result.points
    if middles is None and result.boxes is not None:
        middles = (result.boxes[:, :2] + result.boxes[:, 2:]) / 2 - np.float32(0.5)
    if middles is None:
        return result
    inside = (middles + 0.5 < (size[1], size[0])).all(axis=1)
    if inside.all():
        return result
    count, per_class, labels = result.count, result.per_class, result.labels
    if result.density is None:
        count -= float(np.count_nonzero(~inside))
    if per_class is not None and labels is not None:
        lost = np.bincount(labels[~inside], minlength=len(per_class))
        per_class = {
            name: own - float(gone)
            for (name, own), gone in zip(per_class.items(), lost, strict=True)
        }
    kept = {
        name: values[inside]
        for name in ("points", "boxes", "scores", "labels")
        if (values := getattr(result, name)) is not None
    }
    return replace(result, count=count, per_class=per_class, **kept)
