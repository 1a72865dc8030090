"""``fastcount export``: files, what is printed, and how it leaves."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import PICTURES, small_model

import fastcount.export.int8
import fastcount.export.run
from fastcount.cli import main
from fastcount.cli.export import _divided
from fastcount.export.outputs import MOST
from fastcount.export.parity import Tolerance
from fastcount.export.pictures import sample_pictures
from fastcount.models.checkpoint import save_model

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture
def model_file(tmp_path: Path) -> str:
    save_model(small_model("mcnn"), tmp_path / "spots.safetensors")
    return str(tmp_path / "spots.safetensors")


@pytest.fixture
def picture(tmp_path: Path) -> str:
    Image.fromarray(PICTURES[0][1]).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


def test_export(
    model_file: str,
    picture: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written with 0; then, with a tolerance that nothing meets, told so with 1 and not written."""
    out = tmp_path / "out"
    arguments = ["export", model_file, "--onnx", "--size", "32x48", "--out", str(out)]
    arguments += ["--pictures", picture]
    assert main(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["spots.onnx", "spots.onnx.json"]
    told = capsys.readouterr()
    assert "picture.png" in told.out
    assert "TOO FAR" not in told.out
    assert "error, % of 10 or more" in told.out
    assert "wrote" in told.err
    assert "tiles of that size alone change what the model counts" in told.err

    assert main(["count", picture, "--model", str(out / "spots.onnx"), "--json"]) == 0
    capsys.readouterr()
    tiled = ["count", picture, "--model", str(out / "spots.onnx"), "--tile", "48"]
    assert main(tiled) == 2
    assert "exported for 32x48" in capsys.readouterr().err

    monkeypatch.setitem(fastcount.export.run.TOLERANCES, "fp16", Tolerance(-1.0, None))
    assert main([*arguments, "--half"]) == 1
    told = capsys.readouterr()
    assert "TOO FAR" in told.out
    assert "nothing was written" in told.err
    assert sorted(path.name for path in out.iterdir()) == ["spots.onnx", "spots.onnx.json"]


def test_tensorrt_that_is_not_here(
    model_file: str,
    picture: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ONNX file that a plan would be built from, in 8 bits about 0; how to go on; 2."""
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is here")
    # Which layers bear it is not the matter here.
    monkeypatch.setattr(fastcount.export.int8, "left_out", lambda units, measure, aim: units[:4])
    out = tmp_path / "out"
    arguments = ["--trt", "--int8", picture, "--size", "64x96", "--out", str(out)]
    assert main(["export", model_file, *arguments]) == 2
    names = ["spots-int8.plan.onnx", "spots-int8.plan.onnx.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    told = capsys.readouterr()
    assert "picture.png" in told.out
    assert "pip install tensorrt-cu13" in told.err
    assert str(out / names[0]) in told.err
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(out / names[0]).graph
    zeros = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    values = [onnx.numpy_helper.to_array(one) for one in graph.initializer if one.name in zeros]
    assert len(values) > 10
    assert all(value.dtype == np.int8 and not value.any() for value in values)
    assert not [one.name for one in graph.initializer if "bias_quantized" in one.name]


def test_the_module_is_the_command(
    model_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fastcount.export", model_file])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("fastcount.export", run_name="__main__")
    assert left.value.code == 2
    assert "what to export? give --onnx" in capsys.readouterr().err


def test_calibration_and_comparison_apart() -> None:
    pictures = [(str(number), np.zeros((1, 1, 3), np.uint8)) for number in range(7)]
    shown, calibration = _divided(pictures)
    assert [name for name, _ in shown] == ["0", "3", "6"]
    assert [name for name, _ in calibration] == ["1", "2", "4", "5"]
    assert _divided(pictures[:2]) == (pictures[:2], pictures[:2])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "what to export? give --onnx, --openvino, --trt or --pt2"),
        (["--onnx", "--size", "big"], "--size big: write height and width as 384x512"),
        (["--onnx", "--size", "64x64", "--dynamic"], "--dynamic and --size: give one of them"),
        (["--onnx", "--pictures", "nowhere.png"], "nowhere.png"),
        (["--onnx", "--batch", "9"], "--batch"),
        (["--pt2", "--int8", "nowhere"], "--int8: goes with --onnx, --openvino and --trt, not"),
        (["--onnx", "--int8", "nowhere", "--half"], "--int8 and --half: give one of them"),
        (["--openvino", "--half", "--bf16"], "--half and --bf16: give one of them"),
        (["--openvino", "--onnx", "--bf16"], "--bf16: goes with --openvino alone"),
    ],
)
def test_wrong_usage(
    model_file: str, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", model_file, *arguments]) == 2
    assert told in capsys.readouterr().err


def test_the_help_tells_how_many_objects_a_file_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    assert f"{MOST} by default" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_nothing_is_exported_where_nothing_can_be_written(
    model_file: str, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file/deploy")
    assert main(["export", model_file, "--onnx", "--pictures", picture, "--out", out]) == 2
    printed, told = capsys.readouterr()
    assert printed == ""
    assert f"--out {out}: cannot be written" in told


def test_no_such_model(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "crwod", "--onnx", "--pictures", picture]) == 2
    assert "no model is called 'crwod'" in capsys.readouterr().err


def test_sample_pictures_are_photographs() -> None:
    pictures = sample_pictures()
    assert len({name for name, _ in pictures}) >= 3
    for _, picture in pictures:
        assert picture.shape[2] == 3
        assert picture.std() > 10
