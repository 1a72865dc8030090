"""``fastcount export``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastcount.cli.inputs import expand
from fastcount.cli.messages import (
    FAILED,
    WRONG_USAGE,
    check_writable,
    leave,
    print_table,
    say,
)
from fastcount.cli.sizes import parse_size

if TYPE_CHECKING:
    from fastcount.export.parity import Picture
    from fastcount.export.run import Options, Written

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2", "trt": ".plan"}


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model or a model file.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="ONNX, for ONNX Runtime and most others.")
    ] = False,
    openvino: Annotated[bool, typer.Option("--openvino", help="OpenVINO's own format.")] = False,
    trt: Annotated[
        bool, typer.Option("--trt", help="A TensorRT plan for the GPU at hand, and its ONNX file.")
    ] = False,
    pt2: Annotated[bool, typer.Option("--pt2", help="A program for torch.export.load.")] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Weights and arithmetic in float16.")
    ] = False,
    bf16: Annotated[
        bool,
        typer.Option(
            "--bf16", help="Arithmetic in bfloat16, on CPUs that have it. With --openvino alone."
        ),
    ] = False,
    int8: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CALIBRATION",
            help="Arithmetic in 8-bit integers, their ranges taken from these pictures, like "
            "those to be counted; repeatable. Not with --pt2.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Height and width of every input in pixels.")
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Inputs of any size; so it is without --size.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(min=1, max=8, help="Pictures at once; any number by default.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path(),
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Pictures to compare with PyTorch on; repeatable. By default photographs that "
            "come with scikit-image; with --int8 every third of its pictures, which then takes "
            "no part in the calibration, or all where there are fewer than three.",
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            min=1, help="Objects, or candidates of them, that one input may hold: 15360 by default."
        ),
    ] = None,
) -> None:
    """Write a model for another engine, and check that it counts as PyTorch does.

    Exit status: 0 done, 1 what was written counts otherwise and was removed, 2 wrong usage, or
    something is not installed.
    """
    formats = [name for name, wanted in _wanted(onnx, openvino, trt, pt2) if wanted]
    if not formats:
        leave("what to export? give --onnx, --openvino, --trt or --pt2", WRONG_USAGE)
    if dynamic and size is not None:
        leave("--dynamic and --size: give one of them", WRONG_USAGE)
    if int8 and pt2:
        leave("--int8: goes with --onnx, --openvino and --trt, not with --pt2", WRONG_USAGE)
    given = [name for name, on in (("int8", int8), ("half", half), ("bf16", bf16)) if on]
    if len(given) > 1:
        leave(f"{' and '.join(f'--{name}' for name in given)}: give one of them", WRONG_USAGE)
    if bf16 and formats != ["openvino"]:
        leave("--bf16: goes with --openvino alone", WRONG_USAGE)
    from fastcount.export.run import Options

    sides = None if size is None else parse_size(size)
    options = Options(size=sides, batch=batch, half=half, bfloat16=bf16)
    if most is not None:
        options = replace(options, most=most)
    calibration = _pictures("--int8", int8) if int8 else None
    if pictures:
        shown = _pictures("--pictures", pictures)
    elif calibration:
        shown, calibration = _divided(calibration)
    else:
        shown = _samples()
    check_writable(out, f"--out {out}")
    for form in formats:
        _export(form, model, out, shown, calibration, options)


def _wanted(onnx: bool, openvino: bool, trt: bool, pt2: bool) -> list[tuple[str, bool]]:
    return [("onnx", onnx), ("openvino", openvino), ("pt2", pt2), ("trt", trt)]


def _export(
    form: str,
    model: str,
    out: Path,
    pictures: list[Picture],
    calibration: list[Picture] | None,
    options: Options,
) -> None:
    from fastcount.export import (
        ParityError,
        TensorrtMissing,
        export_int8,
        export_onnx,
        export_openvino,
        export_pt2,
        export_trt,
    )
    from fastcount.models.checkpoint import load_model
    from fastcount.predict.load import find_weights

    mark = "-fp16" if options.half else "-bf16" if options.bfloat16 else ""
    if calibration:
        mark = "-int8"
    note = ""
    try:
        weights = find_weights(model)
        loaded = load_model(weights)
        path = out / f"{weights.stem}{mark}{_SUFFIXES[form]}"
        if calibration:
            quantized = export_int8(loaded, path, pictures, calibration, options)
            note = (
                f"; {quantized.speed_up:.2f} times as fast as float32 on this machine; of "
                f"{quantized.layers} layers {quantized.float_layers} stay in float32"
            )
            written: Written = quantized
        else:
            writers = {
                "onnx": export_onnx,
                "openvino": export_openvino,
                "pt2": export_pt2,
                "trt": export_trt,
            }
            written = writers[form](loaded, path, pictures, options)
    except ParityError as error:
        print_table(error.parity.table())
        leave(f"{error}; nothing was written", FAILED)
    except TensorrtMissing as error:
        print_table(error.onnx.parity.table())
        leave(str(error), WRONG_USAGE)
    except RuntimeError as error:
        leave(str(error), FAILED)
    except (ValueError, OSError, ImportError) as error:
        leave(str(error), WRONG_USAGE)
    print_table(written.parity.table())
    say(f"wrote {written.path}, {written.size / 1e6:.1f} MB{note}")
    moved = written.parity.moved
    if moved is not None and abs(moved) >= 0.0005:
        say(
            f"tiles of that size alone change what the model counts on these pictures by "
            f"{100 * moved:+.1f} %: without --size they are cut as it was trained for"
        )


def _divided(calibration: list[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Those to compare on and those to calibrate with, apart where there are enough."""
    if len(calibration) < 3:
        return calibration, calibration
    rest = [each for place, each in enumerate(calibration) if place % 3]
    return calibration[::3], rest


def _samples() -> list[Picture]:
    from fastcount.export.pictures import sample_pictures

    try:
        return sample_pictures()
    except ImportError as error:
        leave(str(error), WRONG_USAGE)


def _pictures(option: str, paths: list[str]) -> list[Picture]:
    """The user's pictures; leaves with 2 for a bad one."""
    from fastcount.pictures import open_picture

    inputs, failed = expand(paths)
    if failed:
        leave(f"{option}: {failed[0][1]}", WRONG_USAGE)
    try:
        return [(each.text, open_picture(each.source())) for each in inputs]
    except (ValueError, OSError) as error:
        leave(f"{option}: {error}", WRONG_USAGE)
