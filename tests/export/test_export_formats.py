"""Programs of PyTorch, OpenVINO's format and 8-bit ONNX: the same counts, fewer bits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_models import PICTURE, PICTURES, fitting, small_model
from torch import nn

import fastcount
import fastcount.export.int8
import fastcount.export.openvino
from fastcount.export import (
    Options,
    ParityError,
    export_int8,
    export_onnx,
    export_openvino,
    export_pt2,
    parity,
)
from fastcount.export.openvino import convert
from fastcount.export.parity import Tolerance
from fastcount.models import registry
from fastcount.models.base import DensityOutput
from fastcount.models.parts.density_regression import DensityRegression
from fastcount.predict import TorchEngine
from fastcount.predict.program_engine import ProgramEngine
from fastcount.runtime import Counter, openvino_engine
from fastcount.runtime.description import Description, read_sidecar
from fastcount.runtime.tiling import Tiling


@pytest.fixture(scope="module")
def expected() -> fastcount.Counting:
    return Counter(TorchEngine(small_model("mcnn")))(PICTURE)


def test_pt2_of_pictures_smaller_than_two_cells(tmp_path: Path) -> None:
    export_pt2(small_model("mcnn"), tmp_path / "m.pt2", PICTURES, Options())
    counter = Counter(ProgramEngine(tmp_path / "m.pt2"))
    for height, width in ((1, 1), (3, 5), (4, 40), (8, 8)):
        picture = PICTURE[:height, :width]
        counting = counter(picture)
        assert counting.size == (height, width)
        expected = Counter(TorchEngine(small_model("mcnn")))(picture)
        assert counting.density is not None
        assert expected.density is not None
        assert counting.density.shape == expected.density.shape


def test_eight_bits_are_not_judged_by_next_to_nothing(tmp_path: Path) -> None:
    nothing = [("black", np.zeros((64, 96, 3), np.uint8))]
    model = small_model("mcnn")
    torch.nn.init.zeros_(model.fuse.weight)  # type: ignore[union-attr,arg-type]
    torch.nn.init.zeros_(model.fuse.bias)  # type: ignore[union-attr,arg-type]
    with pytest.raises(ValueError, match=r"counts 0\.0 in the 1 that 8 bits"):
        export_int8(model, tmp_path / "m.onnx", nothing, PICTURES, Options())
    assert not list(tmp_path.iterdir())


def test_pt2(tmp_path: Path, expected: fastcount.Counting) -> None:
    written = export_pt2(small_model("mcnn"), tmp_path / "m.pt2", PICTURES, Options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pt2", "m.pt2.json"]
    assert written.parity.passed
    counter = fastcount.load(written.path)
    counting = counter(PICTURE)
    assert counting.count == pytest.approx(expected.count, rel=1e-5)
    np.testing.assert_allclose(counting.density, expected.density, rtol=1e-3, atol=1e-5)
    assert counter.engine.tiling == small_model("mcnn").tiling
    with pytest.raises(ValueError, match=r"a \.pt2 file runs on the CPU only, got 'cuda'"):
        fastcount.load(written.path, device="cuda")
    (tmp_path / "x.pt2").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.pt2 is not a PyTorch program"):
        fastcount.load(tmp_path / "x.pt2")


def test_openvino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    path = tmp_path / "m.xml"
    written = export_openvino(small_model("mcnn"), path, PICTURES, Options(size=(80, 112)))
    names = ["m.bin", "m.xml", "m.xml.json"]
    assert sorted(one.name for one in tmp_path.iterdir()) == names
    fitting = np.pad(PICTURE, ((0, 80 - PICTURE.shape[0]), (0, 112 - PICTURE.shape[1]), (0, 0)))
    expected = Counter(TorchEngine(small_model("mcnn")))(fitting).count
    assert fastcount.load(written.path)(fitting).count == pytest.approx(expected, rel=1e-4)
    monkeypatch.setitem(parity.TOLERANCES, "fp32", Tolerance(-1.0, None))
    with pytest.raises(ParityError):
        export_openvino(small_model("mcnn"), tmp_path / "n.xml", PICTURES, Options(size=(80, 112)))
    assert sorted(one.name for one in tmp_path.iterdir()) == names


def test_no_openvino_file_gets_the_weights_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are a file of their own: one that is stopped between the two leaves no model."""
    path = tmp_path / "m.xml"

    def save(graph: bytes, at: Path, description: object) -> None:
        for part in (at, at.with_suffix(".bin"), at.with_name(at.name + ".json")):
            part.write_bytes(graph)

    def replace(part: Path, target: Path) -> Path:
        if part.suffix != ".bin":
            raise KeyboardInterrupt
        return part.rename(target)

    save(b"old", path, None)
    monkeypatch.setattr(fastcount.export.openvino, "save", save)
    monkeypatch.setattr(fastcount.export.openvino, "OpenvinoEngine", lambda at: None)
    passed = SimpleNamespace(passed=True)
    monkeypatch.setattr(fastcount.export.openvino, "compare", lambda *arguments: passed)
    monkeypatch.setattr(Path, "replace", replace)
    model = small_model("mcnn")
    description = Description("mcnn", model.tiling, model.stride)
    with pytest.raises(KeyboardInterrupt):
        convert(b"new", path, description, TorchEngine(model), PICTURES)
    assert path.with_suffix(".bin").read_bytes() == b"new"
    assert not path.exists()


def test_openvino_in_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few bits where the CPU has them, the same count elsewhere, and no file unchecked."""
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    path = tmp_path / "m.xml"
    options = Options(size=(80, 112), bfloat16=True)
    if openvino_engine.has_bfloat16(openvino.Core()):
        written = export_openvino(small_model("mcnn"), path, PICTURES, options)
        assert written.parity.tolerance.count == 0.02
        assert read_sidecar(path).precision == "bf16"
        assert max(row.error for row in written.parity.rows) > 1e-6, "that was float32"
        path.unlink()
    monkeypatch.setattr(fastcount.export.openvino, "has_bfloat16", lambda core: False)
    with pytest.raises(ValueError, match="bfloat16: this CPU has none"):
        export_openvino(small_model("mcnn"), path, PICTURES, options)
    assert not path.exists()


def test_bfloat16_goes_with_openvino_alone(tmp_path: Path) -> None:
    options = Options(bfloat16=True)
    for export in (export_onnx, export_pt2):
        with pytest.raises(ValueError, match="bfloat16: goes with OpenVINO's format alone"):
            export(small_model("mcnn"), tmp_path / "m.pt2", PICTURES, options)
    with pytest.raises(ValueError, match="bfloat16: goes with OpenVINO's format alone"):
        export_int8(small_model("mcnn"), tmp_path / "m.onnx", PICTURES, PICTURES, options)
    with pytest.raises(ValueError, match="half: float16 and bfloat16 exclude each other"):
        Options(bfloat16=True, half=True)
    assert list(tmp_path.iterdir()) == []


def test_int8(
    tmp_path: Path, expected: fastcount.Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the first layer left out, and the last, which always is; see test_quantize."""

    def first(units: list[str], measure: Callable[[frozenset[str]], float], aim: float) -> Any:
        assert aim == 0.01
        assert 0 < measure(frozenset()) < 0.1
        assert measure(frozenset(units)) < 1e-4
        return frozenset(units[:1])

    monkeypatch.setattr(fastcount.export.int8, "left_out", first)
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "m-int8.onnx"
    written = export_int8(small_model("mcnn"), path, PICTURES, PICTURES, Options())
    assert written.speed_up > 0
    assert written.parity.tolerance.count == 0.02
    assert read_sidecar(path).precision == "int8"
    graph = onnx.load(path).graph
    weights = {one.name: one for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 13
    in_float = [node for node in convolutions if node.input[1] in weights]
    assert len(in_float) == written.float_layers == 2
    for node in convolutions:
        if node in in_float:
            continue
        before, weight = makers[node.input[0]], makers[node.input[1]]
        assert (before.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert weights[weight.input[0]].data_type == onnx.TensorProto.INT8
    counting = fastcount.load(path, device="cpu")(PICTURE)
    assert counting.count == pytest.approx(expected.count, rel=0.02)
    assert counting.count != pytest.approx(expected.count, rel=1e-6), "that was float32"


def test_int8_makes_up_for_rounding_in_a_registered_density_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

    @registry.register("two_layers")
    class TwoLayers(DensityRegression):
        stride = 1
        tiling = Tiling(mode="overlap", tile=(256, 256), margin=8)

        def __init__(self) -> None:
            super().__init__(4.0)
            self.layers = nn.Sequential(
                *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1), nn.ReLU()),
            )

        def forward(self, images: torch.Tensor) -> DensityOutput:
            return DensityOutput(self.layers(images), self.stride)

    torch.manual_seed(0)
    model = TwoLayers()
    last = model.layers[4]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight.data.abs_()
    last.bias.data.zero_()
    pictures = [("whole", fitting(PICTURE))]  # without padding, which takes part in the choice
    exact = Counter(TorchEngine(copy.deepcopy(model)))(pictures[0][1]).count
    export_int8(model, tmp_path / "m.onnx", pictures, pictures, Options())
    counting = fastcount.load(tmp_path / "m.onnx", device="cpu")(pictures[0][1])
    assert counting.count == pytest.approx(exact, rel=1e-5)


def test_int8_needs_pictures_and_excludes_half(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ValueError, match="calibration: need at least one picture"):
        export_int8(small_model("mcnn"), path, PICTURES, [], Options())
    with pytest.raises(ValueError, match="half: 8-bit and half precision exclude each other"):
        export_int8(small_model("mcnn"), path, PICTURES, PICTURES, Options(half=True))
    assert list(tmp_path.iterdir()) == []
