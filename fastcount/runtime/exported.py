"""What all exported networks have in common, whatever runs them: arrays in, tile results out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.description import Description
from fastcount.runtime.engine import TileResult
from fastcount.runtime.tiling import Tiling

Pixels = NDArray[np.uint8]
Network = Callable[[Pixels], list[TileResult]]

INPUT = "images"


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
        number, height, width = tiles.shape[:3]
        size = self.size or (height, width)
        if height > size[0] or width > size[1]:
            raise ValueError(
                f"tile: this model was exported for {size[0]}x{size[1]}, got {height}x{width}; "
                "leave it out, or export the model with --dynamic"
            )
        at_once = self.batch or number
        results: list[TileResult] = []
        for start in range(0, number, at_once):
            group = tiles[start : start + at_once]
            fitting = group
            if group.shape[:3] != (at_once, *size):
                fitting = np.empty((at_once, *size, 3), np.uint8)
                fitting[:] = fill
                fitting[: len(group), :height, :width] = group
            results += [_trim(one, (height, width)) for one in network(fitting)[: len(group)]]
        return results


class ExportedEngine(ABC):
    """An engine whose network comes out of a file: all of it but the running.

    ``description``: what the file says of itself.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        self.shape = InputShape(description.batch, description.size)

    @property
    def name(self) -> str:
        return self.description.model

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
        return self.shape.run(batch, self.tiling.fill, self._results)

    def _results(self, pixels: Pixels) -> list[TileResult]:
        return tile_results(self._network(pixels), self.description)

    @abstractmethod
    def _network(self, pixels: Pixels) -> dict[str, NDArray[Any]]:
        """The outputs by name for (B, h, w, 3) RGB ``pixels`` of a size that the file takes."""


def tile_results(
    outputs: Mapping[str, NDArray[Any]],
    description: Description,
) -> list[TileResult]:
    """The outputs of a network by name, as one result a picture.

    ``count``: (B,). ``density``: (B, 1, h, w), where the model has one.
    """
    density = outputs.get("density")
    return [
        TileResult(
            count=float(count),
            density=None if density is None else np.asarray(density[index, 0], np.float32),
            stride=None if density is None else description.stride,
        )
        for index, count in enumerate(outputs["count"])
    ]


def _trim(result: TileResult, size: tuple[int, int]) -> TileResult:
    """Without the cells beyond ``size``, and without what they add to the count."""
    if result.density is None or not result.stride:
        return result
    height, width = (math.ceil(side / result.stride) for side in size)
    if result.density.shape == (height, width):
        return result
    kept = result.density[:height, :width]
    beyond = float(result.density.sum(dtype=np.float64) - kept.sum(dtype=np.float64))
    return replace(result, count=result.count - beyond, density=kept)
