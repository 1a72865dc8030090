"""A model as a TensorRT plan, by way of ONNX.

Uses what TensorRT 10 and 11 have in common: a strongly typed network, whose precisions are those
of the ONNX file. The names used here and in the engine were checked against the Python modules of
10.13 and 11.4; nothing was built or run by us, for lack of a machine with TensorRT.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fastcount.export.parity import Picture
from fastcount.export.run import Options, Written, export_onnx, write_checked
from fastcount.files import atomic_write
from fastcount.models.base import CountingModel
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.description import Description, Precision, read_sidecar
from fastcount.runtime.exported import INPUT, PARTS
from fastcount.runtime.tensorrt_engine import TensorrtEngine
from fastcount.runtime.zooming import ZOOM

Shape = tuple[int, int, int, int]

_USUAL = 512  # pixels a side that a plan for any size is tuned for

_CURES = {
    "tensorrt": "pip install tensorrt-cu13 (TensorRT 10 or 11)",
    "pycuda": "pip install pycuda",
}


# What TensorRT's inspector calls the types of layers.
_WORDS: dict[Precision, tuple[str, str]] = {
    "fp32": ("Float", "FP32"),
    "fp16": ("Half", "FP16"),
    "int8": ("Int8", "INT8"),
}


class TensorrtMissing(ImportError):
    """There is no TensorRT here; ``onnx`` is what was written, from which it would build."""

    def __init__(self, missing: list[str], onnx: Written) -> None:
        cures = "; ".join(f"{name}: {_CURES[name]}" for name in missing)
        super().__init__(
            f"no plan was built: not installed {'is' if len(missing) == 1 else 'are'} "
            f"{' and '.join(missing)} ({cures}). A plan is built on the machine, with an NVIDIA "
            f"GPU, that will run it: give this command there. The ONNX file is written: {onnx.path}"
        )
        self.onnx = onnx


def export_trt(
    model: CountingModel, path: Path, pictures: Sequence[Picture], options: Options
) -> Written:
    """Writes ``model`` to ``path`` as a plan for the GPU at hand, first to ``path`` + ``.onnx``.

    A plan takes ``options.batch`` pictures at once, one where that is None. Arguments and checks
    are otherwise :func:`fastcount.export.export_onnx`'s.

    Raises :class:`TensorrtMissing`, with the ONNX file written and checked, where there is no
    TensorRT; ``RuntimeError`` where it cannot build, or builds without the precision asked for.
    """
    options = replace(options, batch=options.batch or 1)
    onnx = export_onnx(model, path.with_name(path.name + ".onnx"), pictures, options)
    return export_plan(onnx, path, pictures, TorchEngine(model))


def export_plan(
    onnx: Written, path: Path, pictures: Sequence[Picture], reference: TorchEngine
) -> Written:
    """The plan of a written ONNX file at ``path``, checked against ``reference``.

    Raises as :func:`export_trt` does.
    """
    missing = [name for name in _CURES if importlib.util.find_spec(name) is None]
    if missing:
        raise TensorrtMissing(missing, onnx)
    description = read_sidecar(onnx.path)
    plan = build_plan(onnx.path, description, path.with_suffix(".timing"))
    return write_checked(
        path,
        pictures,
        reference,
        description,
        write=lambda temporary: temporary.write_bytes(plan),
        engine=lambda temporary: TensorrtEngine(temporary, description=description),
    )


def build_plan(onnx: Path, description: Description, timings: Path) -> bytes:
    """The plan of the ONNX file ``onnx``. ``timings``: where measured kernels are kept.

    Raises ``RuntimeError`` as :func:`export_trt` does.
    """
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise RuntimeError(f"TensorRT {trt.__version__} cannot read {onnx}: {reasons}")
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that layers tell their types
    profile = builder.create_optimization_profile()
    for name, shapes in input_shapes(description).items():
        profile.set_shape(name, *shapes)
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(timings.read_bytes() if timings.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(
            f"TensorRT {trt.__version__} cannot build {onnx}; see its messages above"
        )
    with atomic_write(timings) as file:
        file.write(bytes(cache.serialize()))
    serialized = bytes(plan)
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(serialized)
    inspector = engine.create_engine_inspector()
    layers = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    check_precision(layers, description)
    return serialized


def check_precision(layers: str, description: Description) -> None:
    """Raises ``RuntimeError`` where the plan's ``layers``, as its inspector tells them, are all
    wider than ``description.precision``: a build that fell back to float32 is no success."""
    if not any(word in layers for word in _WORDS[description.precision]):
        raise RuntimeError(
            f"TensorRT built a plan without any {description.precision} layer; it is not written"
        )


def input_shapes(description: Description) -> dict[str, tuple[Shape, Shape, Shape]]:
    """The least, the usual and the largest (B, H, W, 3) that a plan takes of each input."""
    tiling, batch = description.tiling, description.batch or 1
    tile = description.size or tiling.tile
    shapes = {INPUT: _range(batch, tile, tiling.align)}
    if description.size is not None:
        fixed = (batch, *description.size, 3)
        shapes[INPUT] = fixed, fixed, fixed
    if description.zoom is not None:
        # At each look a part, at most the whole, is enlarged.
        growth = ZOOM ** (description.zoom.depth - 1)
        shapes[PARTS] = _range(batch, (tile[0] * growth, tile[1] * growth), ZOOM)
    return shapes


def _range(batch: int, most: tuple[int, int], align: int) -> tuple[Shape, Shape, Shape]:
    height, width = (side // align * align for side in most)
    usual = -(-_USUAL // align) * align
    middle = (batch, min(height, usual), min(width, usual), 3)
    return (batch, align, align, 3), middle, (batch, height, width, 3)
