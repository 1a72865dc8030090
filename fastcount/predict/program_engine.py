"""A program written by ``fastcount export --pt2`` as an engine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fastcount.runtime.description import KEY, Description
from fastcount.runtime.engine import TileResult
from fastcount.runtime.exported import InputShape, tile_results
from fastcount.runtime.tiling import Tiling


class ProgramEngine:
    """Runs the ``.pt2`` file at ``path`` on the CPU, where it was traced.

    Raises ``FileNotFoundError`` where there is no file, ``ValueError`` for one that
    ``fastcount export`` did not write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path: there is no model file {path}")
        extra = {KEY: ""}
        try:
            program = torch.export.load(path, extra_files=extra)
        except Exception as error:  # whatever damaged archives raise
            raise ValueError(f"path: {path} is not a PyTorch program ({error})") from error
        if not extra[KEY]:
            raise ValueError(
                f"path: {path} does not say how to count with it; write it with `fastcount export`"
            )
        self.description = Description.from_json(extra[KEY], path)
        self.shape = InputShape(self.description.batch, self.description.size)
        self._module = program.module()

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
        return self.shape.run(batch, self.tiling.fill, self._network)

    def _network(self, pixels: NDArray[np.uint8]) -> list[TileResult]:
        with torch.inference_mode():
            values = self._module(torch.from_numpy(pixels))
        names = ("count", "density")[: len(values)]
        arrays = {name: value.numpy() for name, value in zip(names, values, strict=True)}
        return tile_results(arrays, self.description)
