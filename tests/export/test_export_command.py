"""``fastcount export``: files, what is printed, and how it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from small_models import PICTURES, small_model

import fastcount.export.run
from fastcount.cli import main
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
    assert "error %" in told.out
    assert "wrote" in told.err

    assert main(["count", picture, "--model", str(out / "spots.onnx"), "--json"]) == 0
    capsys.readouterr()

    monkeypatch.setitem(fastcount.export.run.TOLERANCES, "fp16", Tolerance(-1.0, None))
    assert main([*arguments, "--half"]) == 1
    told = capsys.readouterr()
    assert "TOO FAR" in told.out
    assert "nothing was written" in told.err
    assert sorted(path.name for path in out.iterdir()) == ["spots.onnx", "spots.onnx.json"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "what to export? give --onnx, --openvino, --trt or --pt2"),
        (["--onnx", "--size", "big"], "--size big: write height and width as 384x512"),
        (["--onnx", "--size", "64x64", "--dynamic"], "--dynamic and --size: give one of them"),
        (["--onnx", "--pictures", "nowhere.png"], "nowhere.png"),
        (["--onnx", "--batch", "9"], "--batch"),
        (["--pt2", "--int8", "nowhere"], "--int8: goes with --onnx alone"),
        (["--onnx", "--int8", "nowhere", "--half"], "--int8 and --half: give one of them"),
    ],
)
def test_wrong_usage(
    model_file: str, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", model_file, *arguments]) == 2
    assert told in capsys.readouterr().err


def test_no_such_model(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "crwod", "--onnx", "--pictures", picture]) == 2
    assert "no model is called 'crwod'" in capsys.readouterr().err


def test_sample_pictures_are_photographs() -> None:
    pictures = sample_pictures()
    assert len({name for name, _ in pictures}) >= 3
    for _, picture in pictures:
        assert picture.shape[2] == 3
        assert picture.std() > 10
