"""A program written by ``fastcount export --pt2`` as an engine."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from fastcount.runtime.description import KEY, Description
from fastcount.runtime.engine import TileResult
from fastcount.runtime.exported import ExportedEngine, Inputs, Outputs, Pixels, model_file
from fastcount.runtime.found import outputs_read, outputs_read_again
from fastcount.runtime.zooming import Parts


class ProgramEngine(ExportedEngine):
    """Runs the ``.pt2`` file at ``path`` on the CPU, where it was traced.

    Raises ``FileNotFoundError`` where there is no file, ``ValueError`` for one that
    ``fastcount export`` did not write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = model_file(path)
        extra = {KEY: ""}
        try:
            program = torch.export.load(path, extra_files=extra)
        except Exception as error:  # whatever damaged archives raise
            raise ValueError(f"path: {path} is not a PyTorch program ({error})") from error
        if not extra[KEY]:
            raise ValueError(
                f"path: {path} does not say how to count with it; write it with `fastcount export`"
            )
        super().__init__(Description.from_json(extra[KEY], path))
        self._module = program.module()

    def run(self, batch: Pixels) -> list[TileResult]:
        """One result a tile, in order.

        Sides of a single cell, which the tracer does not take, are padded to two.
        """
        least = 2 * self.tiling.align
        height, width = batch.shape[1:3]
        if self.shape.size is not None or self.tiling.align == 1 or min(height, width) >= least:
            return super().run(batch)
        padded = replace(self.shape, size=(max(height, least), max(width, least)))
        return padded.run_all(batch, self.tiling.fill, self._all_results)

    def _network(self, pixels: Pixels) -> Outputs:
        found = self._run(self._inputs(pixels))
        return {name: found[name] for name in outputs_read(list(found), self.description)}

    def _network_again(self, parts: Parts) -> Outputs:
        found = self._run(self._inputs(parts=parts))
        return {name: found[name] for name in outputs_read_again(list(found))}

    def _run(self, inputs: Inputs) -> Outputs:
        with torch.inference_mode():
            found = self._module(*map(torch.from_numpy, inputs.values()))
        return {name: value.numpy() for name, value in found.items()}
