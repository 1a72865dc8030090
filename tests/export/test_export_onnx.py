"""Models written as ONNX count as PyTorch does."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import CONFIGS, PICTURE, PICTURES, small_model

import fastcount
from fastcount.export import Options, ParityError, export_onnx
from fastcount.export.run import Written
from fastcount.export.stand_ins import adaptive_avg_pool2d, sigmoid
from fastcount.predict import TorchEngine
from fastcount.runtime import Counter, OnnxEngine
from fastcount.runtime.description import read_sidecar

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def mcnn(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """For pictures of any size."""
    model = small_model("mcnn")
    model.card = {"mae": 1.5}
    return export_onnx(model, tmp_path_factory.mktemp("mcnn") / "m.onnx", PICTURES, Options())


def test_the_same_counting_from_torch_and_from_onnx(mcnn: Written) -> None:
    expected = Counter(TorchEngine(small_model("mcnn")))
    counter = fastcount.load(mcnn.path, device="cpu")
    assert counter.engine.tiling == expected.engine.tiling
    for tile in (None, 96):
        one, other = expected(PICTURE, tile=tile), counter(PICTURE, tile=tile)
        assert one.count > 0.1, "nothing to compare"
        assert other.count == pytest.approx(one.count, rel=1e-4)
        np.testing.assert_allclose(other.density, one.density, rtol=1e-3, atol=1e-5)
        assert (other.stride, other.size) == (one.stride, one.size)


def test_what_is_in_the_file(mcnn: Written) -> None:
    model = onnx.load(mcnn.path)
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain for opset in model.opset_import} == {""}
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": ["batch", "height", "width", 3],
        "count": ["batch"],
        "density": ["batch", 1, "height/4", "width/4"],
        "points": ["batch", 3840, 2],
        "scores": ["batch", 3840],
        "found": ["batch"],
    }
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    description = OnnxEngine(mcnn.path).description
    assert description == read_sidecar(mcnn.path)
    assert (description.model, description.stride, description.card) == ("mcnn", 4, {"mae": 1.5})
    assert (description.precision, description.size, description.batch) == ("fp32", None, None)


def test_parity_is_told(mcnn: Written) -> None:
    assert mcnn.parity.passed
    assert [row.picture for row in mcnn.parity.rows] == ["wide", "tall"]
    for row in mcnn.parity.rows:
        density = row.tensors["density"]
        assert density.largest > density.highest >= density.mean


def test_a_file_that_counts_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model("mcnn")
    real = TorchEngine.run

    def more(engine: TorchEngine, batch: np.ndarray) -> list[fastcount.runtime.TileResult]:
        return [replace(one, count=one.count + 0.01) for one in real(engine, batch)]

    monkeypatch.setattr(TorchEngine, "run", more)
    with pytest.raises(
        ParityError, match=r"further from PyTorch than 0\.01 % of the count"
    ) as told:
        export_onnx(model, tmp_path / "out" / "m.onnx", PICTURES, Options(size=(64, 96), batch=2))
    assert not told.value.parity.passed
    assert list((tmp_path / "out").iterdir()) == []


def test_half_precision(tmp_path: Path) -> None:
    """Weights are float16, and the sum of a long map is not."""
    options = Options(size=(64, 96), batch=2, half=True)
    written = export_onnx(small_model("mcnn"), tmp_path / "m-fp16.onnx", PICTURES, options)
    graph = onnx.load(written.path).graph
    weights = {one.data_type for one in graph.initializer if len(one.dims) == 4}
    assert onnx.TensorProto.FLOAT16 in weights
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    assert kinds.pop("found") == onnx.TensorProto.INT32
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT}
    (add_up,) = (node for node in graph.node if "count" in node.output)
    (before,) = (node for node in graph.node if add_up.input[0] in node.output)
    assert (add_up.op_type, before.op_type) == ("ReduceSum", "Cast")
    assert written.parity.rows[0].tensors["density"].highest > 0, "that was float32"
    sides = [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
    assert sides == [2, 64, 96, 3]
    description = read_sidecar(written.path)
    assert (description.precision, description.size, description.batch) == ("fp16", (64, 96), 2)
    assert description.tiling.tile == (64, 96)
    assert description.tiling.margin == 16
    whole = Counter(TorchEngine(small_model("mcnn")))(PICTURE).count
    assert fastcount.load(written.path)(PICTURE).count == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"mcnn"}))
def test_every_density_model(tmp_path: Path, name: str) -> None:
    model = small_model(name)
    expected = Counter(TorchEngine(copy.deepcopy(model)))
    written = export_onnx(model, tmp_path / "m.onnx", PICTURES[:1], Options())
    counter = fastcount.load(written.path, device="cpu")
    assert counter.engine.tiling == expected.engine.tiling
    one, other = expected(PICTURE), counter(PICTURE)
    assert abs(one.count) > 1e-3, "nothing to compare"
    assert other.count == pytest.approx(one.count, rel=1e-3)
    assert one.density is not None
    np.testing.assert_allclose(
        other.density, one.density, rtol=1e-3, atol=1e-3 * np.abs(one.density).max()
    )


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ValueError, match="size: mcnn takes multiples of 4, got 30x64"):
        export_onnx(small_model("mcnn"), path, PICTURES, Options(size=(30, 64)))
    with pytest.raises(ValueError, match="size: deepcount takes 384x512 only, got 64x64"):
        export_onnx(small_model("deepcount"), path, PICTURES, Options(size=(64, 64)))
    with pytest.raises(ValueError, match="batch: expected at least 1, got 0"):
        export_onnx(small_model("mcnn"), path, PICTURES, Options(batch=0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(5, 7), (6, 6), (13, 2), (1, 1)])
@pytest.mark.parametrize("cells", [(1, 1), (2, 2), (3, 3), (6, 6)])
def test_adaptive_pooling(size: tuple[int, int], cells: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.adaptive_avg_pool2d(images, cells)
    torch.testing.assert_close(adaptive_avg_pool2d(images, cells), expected)


def test_sigmoid() -> None:
    x = torch.linspace(-100, 100, 401)
    torch.testing.assert_close(sigmoid(x), torch.sigmoid(x), rtol=1e-5, atol=1e-38)
