"""A model in OpenVINO's own format."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcount.export.onnx_file import to_onnx
from fastcount.export.parity import TOLERANCES, ParityError, Picture, compare
from fastcount.export.run import Options, Subject, Written
from fastcount.models.base import CountingModel
from fastcount.runtime.description import Description, sidecar
from fastcount.runtime.engine import Engine
from fastcount.runtime.openvino_engine import OpenvinoEngine, has_bfloat16
from fastcount.runtime.quiet_imports import import_openvino


def export_openvino(
    model: CountingModel, path: Path, pictures: Sequence[Picture], options: Options
) -> Written:
    """Writes ``model`` to ``path``, which ends in ``.xml``, with ``.bin`` and ``.xml.json`` beside.

    It goes through ONNX. Arguments, checks and errors are :func:`fastcount.export.export_onnx`'s.
    ``options.bfloat16`` raises ``ValueError`` on a CPU without: what it does to the count could
    not be measured.
    """
    if options.bfloat16 and not has_bfloat16(_openvino().Core()):
        raise ValueError(
            "bfloat16: this CPU has none, so the count could not be checked; leave it out, or "
            "export on a CPU that has it"
        )
    subject = Subject(model, options)
    graph = to_onnx(subject.program, subject.description).SerializeToString()
    return convert(graph, path, subject.description, subject.reference, pictures)


def convert(
    graph: bytes,
    path: Path,
    description: Description,
    reference: Engine,
    pictures: Sequence[Picture],
) -> Written:
    """The ONNX file ``graph`` in OpenVINO's format at ``path``, checked against ``reference``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Three files that belong together by name: tried under their own names, in a folder aside.
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        trial = Path(folder, path.name)
        save(graph, trial, description)
        tolerance = TOLERANCES[description.precision]
        parity = compare(reference, OpenvinoEngine(trial), pictures, tolerance)
        if not parity.passed:
            raise ParityError(parity)
        # An earlier .xml never stands beside weights that are not its own, whatever stops us here.
        path.unlink(missing_ok=True)
        for part in (trial.with_suffix(".bin"), sidecar(trial), trial):
            part.replace(path.parent / part.name)
    return Written(path, parity)


def save(graph: bytes, path: Path, description: Description) -> None:
    """The ONNX file ``graph`` in OpenVINO's format at ``path``, unchecked.

    Raises ``ImportError`` without openvino.
    """
    openvino = _openvino()
    read = openvino.Core().read_model(graph)
    openvino.save_model(read, path, compress_to_fp16=description.precision == "fp16")
    sidecar(path).write_text(description.to_json() + "\n", encoding="utf-8")


def _openvino() -> Any:
    try:
        return import_openvino()
    except ImportError as error:
        raise ImportError(
            "openvino is not installed, and --openvino needs it: pip install openvino"
        ) from error
