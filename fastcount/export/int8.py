"""A model whose convolutions compute in 8-bit integers."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcount.export.onnx_file import describe, to_onnx
from fastcount.export.openvino import convert, save
from fastcount.export.parity import TOLERANCES, Exported, Picture
from fastcount.export.quantize import Quantizer, left_out
from fastcount.export.run import (
    Options,
    Subject,
    Written,
    refuse_bfloat16,
    write_checked,
)
from fastcount.export.tensorrt import export_plan
from fastcount.models.base import CountingModel
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.runtime.description import Description
from fastcount.runtime.engine import Engine, TileResult
from fastcount.runtime.exported import ExportedEngine, Inputs, Outputs
from fastcount.runtime.onnx_engine import OnnxEngine
from fastcount.runtime.openvino_engine import OpenvinoEngine
from fastcount.runtime.tiling import Tiling
from fastcount.runtime.zooming import Parts

_ROUNDS = 3
_MOST_MEASURED = 12  # tiles that a choice of layers is measured on
_LEAST_COUNT = 10.0
_FURTHEST_GAIN = 0.1
# Objects in all the pictures that 8 bits are judged by: who counts nothing rounds nothing.
LEAST_SHOWN = 5.0


@dataclass(frozen=True)
class Quantized(Written):
    """``speed_up``: time of the float32 file over time of this one, measured as it was written.
    ``float_layers``: of ``layers``, so many stayed in float32 for the count's sake."""

    speed_up: float
    layers: int
    float_layers: int


def export_int8(
    model: CountingModel,
    path: Path,
    pictures: Sequence[Picture],
    calibration: Sequence[Picture],
    options: Options,
) -> Quantized:
    """Writes ``model`` to ``path`` with Q/DQ pairs about its convolutions.

    ``path`` says the format: ``.onnx``, ``.xml`` for OpenVINO or ``.plan`` for TensorRT. Weights
    have a scale a channel, activations one a tensor: the range that they have on ``calibration``,
    pictures like those to be counted. Layers whose rounding the count cannot bear stay in
    float32: which ones is measured on those pictures, see
    :func:`fastcount.export.quantize.left_out`; so is, for a model that
    ``scales_with_last_layers``, a factor near 1 that those are multiplied by, to make up for what
    rounding adds to or takes from the count.

    Arguments, checks and errors are otherwise :func:`fastcount.export.export_onnx`'s, and
    :func:`fastcount.export.export_trt`'s for a plan; ``options.half`` and
    ``options.bfloat16`` raise ``ValueError``.
    """
    _check(model, pictures, calibration, options)
    plan = path.suffix == ".plan"
    subject = Subject(model, replace(options, batch=options.batch or 1) if plan else options)
    description = replace(subject.description, precision="int8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exact = folder / "fp32.onnx"
        exact.write_bytes(to_onnx(subject.program, subject.description).SerializeToString())
        watched = _Watched(exact)
        tiles = list(_tiles(watched, calibration))
        quantizer = Quantizer(exact, folder, watched.inputs(tiles), symmetric=plan)
        trial = folder / "int8.onnx"
        without = _choose(quantizer, exact, trial, tiles, linear=model.scales_with_last_layers)
        graph = _described(trial, description)
        if path.suffix == ".xml":
            written = convert(graph, path, description, subject.reference, pictures)
            save(exact.read_bytes(), folder / "fp32.xml", subject.description)
            before: ExportedEngine = OpenvinoEngine(folder / "fp32.xml")
            after: ExportedEngine = OpenvinoEngine(path)
        else:
            onnx = path.with_name(path.name + ".onnx") if plan else path
            written = write_checked(
                onnx,
                pictures,
                subject.reference,
                description,
                write=lambda temporary: temporary.write_bytes(graph),
                engine=lambda temporary: OnnxEngine(temporary, "cpu"),
            )
            before, after = OnnxEngine(exact, "cpu"), OnnxEngine(onnx, "cpu")
        speed_up = _seconds(before, pictures[0][1]) / _seconds(after, pictures[0][1])
    if plan:
        written = export_plan(written, path, pictures, subject.reference)
    layers = len(quantizer.units) + len(quantizer.heads)
    float_layers = len(without) + len(quantizer.heads)
    return Quantized(written.path, written.parity, speed_up, layers, float_layers)


def _check(
    model: CountingModel,
    pictures: Sequence[Picture],
    calibration: Sequence[Picture],
    options: Options,
) -> None:
    """Raises ``ValueError`` for what :func:`export_int8` does not take."""
    refuse_bfloat16(options)
    if options.half:
        raise ValueError("half: 8-bit and half precision exclude each other; give one of them")
    if not calibration:
        raise ValueError("calibration: need at least one picture like those to be counted")
    shown = sum(abs(Counter(TorchEngine(copy.deepcopy(model)))(each).count) for _, each in pictures)
    if not shown >= LEAST_SHOWN:
        raise ValueError(
            f"pictures: the model counts {shown:.1f} in the {len(pictures)} that 8 bits are to be "
            f"judged by, and {LEAST_SHOWN:g} are needed; give more, like those to be counted"
        )


def _choose(
    quantizer: Quantizer,
    exact: Path,
    trial: Path,
    tiles: Sequence[NDArray[np.uint8]],
    *,
    linear: bool,
) -> frozenset[str]:
    """Leaves the file with the layers that can be of 8 bits at ``trial``; those that cannot."""
    step = -(-len(tiles) // _MOST_MEASURED)
    known = _counts(OnnxEngine(exact, "cpu"), tiles)

    def measure(without: frozenset[str]) -> float:
        quantizer.write(trial, without)
        found = _counts(OnnxEngine(trial, "cpu"), tiles[::step])
        own = known[::step]
        if linear:
            found = found * _gain(own, found)
        return float((np.abs(found - own) / np.maximum(np.abs(own), _LEAST_COUNT)).max())

    without = left_out(quantizer.units, measure, TOLERANCES["int8"].count / 2)
    quantizer.write(trial, without)
    if linear:
        gain = _gain(known, _counts(OnnxEngine(trial, "cpu"), tiles))
        quantizer.write(trial, without, gain)
    return without


def _counts(engine: ExportedEngine, tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    return np.array([sum(one.count for one in engine.run(tile)) for tile in tiles])


def _gain(known: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """The factor near 1 that makes what was ``found`` as much as what is ``known``, in all."""
    if not known.sum() > 0 or not found.sum() > 0:
        return 1.0
    gain = float(known.sum() / found.sum())
    return gain if abs(gain - 1) <= _FURTHEST_GAIN else 1.0


def _described(trial: Path, description: Description) -> bytes:
    import onnx

    model = onnx.load(trial)
    describe(model, description)
    described: bytes = model.SerializeToString()
    return described


class _Keep(Engine):
    """An engine that counts nothing and keeps the tiles that ``exported`` would get."""

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


class _Watched(OnnxEngine):
    """The file ``exact``, which tells what it is given."""

    def __init__(self, exact: Path) -> None:
        super().__init__(exact, "cpu")
        self._parts: list[Parts] = []

    def inputs(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[Inputs]:
        """For ``tiles``, in batches that it takes, each with parts of it that are looked at again,
        where there are any."""
        for tile in tiles:
            self._parts.clear()
            if self.description.zoom is not None:
                self.run(tile)
            looked_at: list[Parts | None] = [*self._parts]
            for parts in looked_at or [None]:
                yield self._inputs(tile, parts)

    def _network_again(self, parts: Parts) -> Outputs:
        self._parts.append(parts)
        return super()._network_again(parts)


def _tiles(engine: Exported, pictures: Sequence[Picture]) -> Iterator[NDArray[np.uint8]]:
    """What the network sees of ``pictures``, in batches that it takes."""
    keep = _Keep(engine)
    counter = Counter(keep)
    for _, picture in pictures:
        counter(picture, batch_size=engine.shape.batch or 1)
        yield from keep.tiles
        keep.tiles.clear()


def _seconds(engine: ExportedEngine, picture: NDArray[np.uint8]) -> float:
    """The best of a few, after one to warm up."""
    counter = Counter(engine)
    counter(picture)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        counter(picture)
        times.append(time.perf_counter() - start)
    return min(times)
