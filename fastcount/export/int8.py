"""A model whose convolutions compute in 8-bit integers."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.export.onnx_file import describe, to_onnx
from fastcount.export.parity import Exported, Picture
from fastcount.export.run import Options, Subject, Written, write_checked
from fastcount.models.base import CountingModel
from fastcount.runtime.counter import Counter
from fastcount.runtime.engine import TileResult
from fastcount.runtime.exported import INPUT
from fastcount.runtime.onnx_engine import OnnxEngine
from fastcount.runtime.tiling import Tiling

# What 8-bit kernels are there for; pixels are scaled, and the count is added up, in float32.
_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Concat", "MaxPool", "Relu", "Clip"]
_ROUNDS = 3


@dataclass(frozen=True)
class Quantized(Written):
    """``speed_up``: time of the float32 file over time of this one, measured as it was written."""

    speed_up: float


def export_int8(
    model: CountingModel,
    path: Path,
    pictures: Sequence[Picture],
    calibration: Sequence[Picture],
    options: Options,
) -> Quantized:
    """Writes ``model`` to ``path`` as ONNX with Q/DQ pairs about its convolutions.

    Weights have a scale a channel, activations one a tensor: the range that they have on
    ``calibration``, pictures like those to be counted. Arguments, checks and errors are
    otherwise :func:`fastcount.export.export_onnx`'s; ``options.half`` raises ``ValueError``.
    """
    if options.half:
        raise ValueError("half: 8-bit and half precision exclude each other; give one of them")
    if not calibration:
        raise ValueError("calibration: need at least one picture like those to be counted")
    subject = Subject(model, options)
    description = replace(subject.description, precision="int8")
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder, "fp32.onnx")
        exact.write_bytes(to_onnx(subject.program, subject.description).SerializeToString())
        exact_engine = OnnxEngine(exact, "cpu")
        tiles = list(_tiles(exact_engine, calibration))

        def write(temporary: Path) -> None:
            import onnx

            _quantize(exact, temporary, tiles)
            quantized = onnx.load(temporary)
            describe(quantized, description)
            temporary.write_bytes(quantized.SerializeToString())

        written = write_checked(
            path,
            pictures,
            subject.reference,
            description,
            write=write,
            engine=lambda temporary: OnnxEngine(temporary, "cpu"),
        )
        picture = pictures[0][1]
        faster = OnnxEngine(path, "cpu")
        speed_up = _seconds(exact_engine, picture) / _seconds(faster, picture)
    return Quantized(written.path, written.parity, speed_up)


class _Keep:
    """An engine that counts nothing and yields the tiles that ``exported`` would get."""

    def __init__(self, exported: Exported) -> None:
        self._exported = exported
        self.tiles: list[NDArray[np.uint8]] = []

    @property
    def name(self) -> str:
        return self._exported.name

    @property
    def tiling(self) -> Tiling:
        return self._exported.tiling

    @property
    def classes(self) -> tuple[str, ...]:
        return self._exported.classes

    def run(self, batch: NDArray[np.uint8]) -> list[TileResult]:
        return self._exported.shape.run(batch, self.tiling.fill, self._keep)

    def _keep(self, pixels: NDArray[np.uint8]) -> list[TileResult]:
        self.tiles.append(pixels)
        return [TileResult(0.0)] * len(pixels)


def _tiles(engine: Exported, pictures: Sequence[Picture]) -> Iterator[NDArray[np.uint8]]:
    """What the network sees of ``pictures``, in batches that it takes."""
    keep = _Keep(engine)
    counter = Counter(keep)
    for _, picture in pictures:
        counter(picture, batch_size=engine.shape.batch or 1)
        yield from keep.tiles
        keep.tiles.clear()


def _quantize(exact: Path, quantized: Path, tiles: Sequence[NDArray[np.uint8]]) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self._rest = iter(tiles)

        def get_next(self) -> dict[str, Any] | None:
            tile = next(self._rest, None)
            return None if tile is None else {INPUT: tile}

    logging.disable(logging.WARNING)  # it advises a pre-processing that folding has done
    try:
        quantize_static(
            exact,
            quantized,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            # Seven bits for weights: without VNNI, sums of two products overflow 16 bits.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)


def _seconds(engine: Exported, picture: NDArray[np.uint8]) -> float:
    """The best of a few, after one to warm up."""
    counter = Counter(engine)
    counter(picture)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        counter(picture)
        times.append(time.perf_counter() - start)
    return min(times)
