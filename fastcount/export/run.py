"""From a model to a checked file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastcount.export.graph import CountingGraph, describe, trace
from fastcount.export.onnx_file import to_onnx
from fastcount.export.outputs import MOST
from fastcount.export.parity import TOLERANCES, Exported, Parity, ParityError, Picture, compare
from fastcount.files import atomic_path, atomic_write
from fastcount.models.base import CountingModel
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.description import Description, Precision, sidecar
from fastcount.runtime.onnx_engine import OnnxEngine


@dataclass(frozen=True)
class Options:
    """What to export a model for.

    ``size``: (H, W) of the input in pixels, None for any. ``batch``: pictures at once, None for
    any number. ``half``: weights and arithmetic in float16, but for the pixels and the count.
    ``bfloat16``: arithmetic in bfloat16 where the CPU has it, for OpenVINO alone.
    ``most``: objects, or candidates of them, that a picture of the input's size may hold.

    Raises ``ValueError`` for ``half`` and ``bfloat16`` together.
    """

    size: tuple[int, int] | None = None
    batch: int | None = None
    half: bool = False
    bfloat16: bool = False
    most: int = MOST

    def __post_init__(self) -> None:
        if self.half and self.bfloat16:
            raise ValueError("half: float16 and bfloat16 exclude each other; give one of them")


@dataclass(frozen=True)
class Written:
    """A file and how it fared beside PyTorch."""

    path: Path
    parity: Parity

    @property
    def size(self) -> int:
        """Bytes, with OpenVINO's weights, which are a file of their own."""
        parts = [self.path]
        if self.path.suffix == ".xml":
            parts.append(self.path.with_suffix(".bin"))
        return sum(part.stat().st_size for part in parts)


class Subject:
    """A model about to be exported. Takes ``model`` over: its batch norms are folded.

    ``reference``: the model in float32 under PyTorch, which the exported one must agree with.
    ``program``: what is exported; its own numbers stay float32 for ``options.bfloat16``, which
    is the engine's affair. Raises ``ValueError`` for options that the model does not take.
    """

    def __init__(self, model: CountingModel, options: Options) -> None:
        precision: Precision = "fp16" if options.half else "bf16" if options.bfloat16 else "fp32"
        self.description: Description = describe(
            model.eval(),
            size=options.size,
            batch=options.batch,
            precision=precision,
            most=options.most,
        )
        self.reference = TorchEngine(model)
        exported = _halved(model) if options.half else model
        self.program = trace(CountingGraph(exported, options.most), self.description)


def refuse_bfloat16(options: Options) -> None:
    """Raises ``ValueError`` for bfloat16, for formats that have none."""
    if options.bfloat16:
        raise ValueError("bfloat16: goes with OpenVINO's format alone; leave it out")


def _halved(model: CountingModel) -> CountingModel:
    """A copy in float16, but for what counts are compared with, in float32."""
    copied = copy.deepcopy(model).half()
    for name in ("score_threshold", "theta"):
        if hasattr(model, name):
            setattr(copied, name, getattr(model, name))
    return copied


def export_onnx(
    model: CountingModel, path: Path, pictures: Sequence[Picture], options: Options
) -> Written:
    """Writes ``model`` to ``path`` as ONNX, its description to ``path`` + ``.json`` beside it.

    Before the two get their names, the file is run by ONNX Runtime beside PyTorch on
    ``pictures``. The model is taken over: its batch norms are folded.

    Raises :class:`ParityError`, and writes nothing, where the two differ by more than
    :data:`~fastcount.export.parity.TOLERANCES` allow; ``ValueError`` for options that the model
    does not take; ``ImportError`` where a package is missing.
    """
    refuse_bfloat16(options)
    subject = Subject(model, options)
    proto = to_onnx(subject.program, subject.description)
    return write_checked(
        path,
        pictures,
        subject.reference,
        subject.description,
        write=lambda temporary: temporary.write_bytes(proto.SerializeToString()),
        engine=lambda temporary: OnnxEngine(temporary, "cpu"),
    )


def write_checked(
    path: Path,
    pictures: Sequence[Picture],
    reference: TorchEngine,
    description: Description,
    *,
    write: Callable[[Path], object],
    engine: Callable[[Path], Exported],
) -> Written:
    """Has ``write`` make a file, and gives it its name ``path`` once it agrees with ``reference``.

    ``engine`` opens what was written. Raises :class:`ParityError` where it does not agree.
    """
    with atomic_path(path) as temporary:
        write(temporary)
        tolerance = TOLERANCES[description.precision]
        parity = compare(reference, engine(temporary), pictures, tolerance)
        if not parity.passed:
            raise ParityError(parity)
        with atomic_write(sidecar(path), "w") as file:
            file.write(description.to_json() + "\n")
    return Written(path, parity)
