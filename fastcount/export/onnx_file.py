"""A counting graph as ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch.export import ExportedProgram

from fastcount.export.graph import output_names
from fastcount.export.manual import manual
from fastcount.runtime.description import KEY, Description
from fastcount.runtime.exported import INPUT, PARTS
from fastcount.runtime.found import AGAIN

if TYPE_CHECKING:
    import onnx

OPSET = 18  # what ONNX Runtime, OpenVINO and TensorRT 10 all take
_PART_SIDES = "part_height", "part_width"


def to_onnx(program: ExportedProgram, description: Description) -> onnx.ModelProto:
    """The program in operators of ONNX's own set, with ``description`` in its metadata.

    Raises ``ImportError`` without onnx and onnxscript; ``ValueError`` where the graph needs an
    operator from elsewhere.
    """
    for package in ("onnx", "onnxscript"):
        _require(package)
    with _quiet():
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT] if description.zoom is None else [INPUT, PARTS],
            output_names=output_names(program),
        )
    assert written is not None
    model: onnx.ModelProto = written.model_proto
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign or model.functions:
        raise ValueError(f"model: its graph needs operators that are not ONNX's own: {foreign}")
    _forget_where_it_was_made(model)
    _name_sides(model, description)
    describe(model, description)
    return model


def describe(model: onnx.ModelProto, description: Description) -> None:
    """Writes ``description`` into the metadata of ``model``, over an earlier one, and in words."""
    kept = [entry for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=KEY, value=description.to_json())
    model.producer_name = KEY
    model.doc_string = manual(description, [output.name for output in model.graph.output])


def _forget_where_it_was_made(model: onnx.ModelProto) -> None:
    """The tracer notes at every node the source lines it came from, with this machine's paths."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def _name_sides(model: onnx.ModelProto, description: Description) -> None:
    """Calls the free sides of inputs and outputs what they are; the tracer numbers them."""
    batch = description.batch or "batch"
    height, width = description.size or ("height", "width")
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        sides: list[int | str] = [batch, *(dim.dim_value for dim in dims[1:])]
        if value.name == PARTS or value.name.startswith(AGAIN):
            sides[0] = description.batch or PARTS
        if value.name == PARTS:
            sides[1:3] = _PART_SIDES
        elif value.name == f"{AGAIN}attention":
            sides[2:] = _PART_SIDES
        elif value.name == INPUT:
            sides[1:3] = [height, width]
        elif value.name == "attention":
            sides[2:] = [height, width]
        elif value.name == "density":
            stride = description.stride or 1
            sides[2:] = [
                f"{side}/{stride}" if isinstance(side, str) else -(-side // stride)
                for side in (height, width)
            ]
        for dim, side in zip(dims, sides, strict=True):
            if isinstance(side, str):
                dim.dim_param = side
            else:
                dim.dim_value = side
    del model.graph.value_info[:]  # of the old names; engines infer shapes themselves


def _require(package: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise ImportError(
            f"{package} is not installed, and writing ONNX needs it: pip install onnx onnxscript"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress on stdout, where results belong."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
