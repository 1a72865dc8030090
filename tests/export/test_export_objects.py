"""Points and boxes in exported graphs: the same Counting as from PyTorch, for every model."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import CONFIGS, OTHERS, PICTURE, PICTURES, fitting, small_model

import fastcount
from fastcount.counting import Counting
from fastcount.export import (
    Options,
    export_int8,
    export_onnx,
    export_openvino,
    export_pt2,
    export_trt,
    int8,
)
from fastcount.export.graph import CountingGraph, describe, trace
from fastcount.export.onnx_file import to_onnx
from fastcount.export.outputs import MOST
from fastcount.export.parity import SameTiles
from fastcount.export.tensorrt import TensorrtMissing
from fastcount.models import CountingModel, create_model, list_models, registry
from fastcount.models.parts.box_detector import BoxDetector
from fastcount.predict import TorchEngine
from fastcount.predict.program_engine import ProgramEngine
from fastcount.runtime import Counter, TileResult
from fastcount.runtime.description import Description
from fastcount.runtime.exported import InputShape
from fastcount.runtime.found import tile_results
from fastcount.runtime.onnx_engine import OnnxEngine


def same(one: Counting | TileResult, other: Counting | TileResult) -> None:
    """The same but for rounding, which may change the order of objects that are equally sure."""
    assert other.count == pytest.approx(one.count, rel=1e-4)
    order = None
    if one.points is not None and other.points is not None:
        assert one.points.shape == other.points.shape
        distance = np.abs(one.points[:, None] - other.points).max(axis=2)
        if one.labels is not None and other.labels is not None:
            distance = distance + 1e6 * (one.labels[:, None] != other.labels)
        if one.boxes is not None and other.boxes is not None:
            distance = distance + np.abs(one.boxes[:, None] - other.boxes).max(axis=2)
        order = distance.argmin(axis=1) if len(one.points) else np.zeros(0, np.int64)
        assert len(set(order.tolist())) == len(order)
    for field in ("std", "density", "points", "boxes", "scores", "labels"):
        known, new = getattr(one, field), getattr(other, field)
        assert (known is None) == (new is None), field
        if known is not None:
            if order is not None and field not in ("std", "density"):
                new = new[order]
            scale = max(1e-6, float(np.abs(known).max())) if np.size(known) else 1.0
            np.testing.assert_allclose(new, known, rtol=1e-3, atol=1e-3 * scale, err_msg=field)
    assert (one.per_class is None) == (other.per_class is None)
    if one.per_class is not None and other.per_class is not None:
        assert other.per_class == pytest.approx(one.per_class, rel=1e-3, abs=1e-4)
    assert one.stride == other.stride


def told(model: CountingModel, tile: np.ndarray, most: int = MOST) -> list[TileResult]:
    """What the graph says, decoded as every engine decodes it."""
    description = describe(model, size=None, batch=None, precision="fp32", most=most)
    with torch.inference_mode():
        tensors = CountingGraph(model, most)(torch.from_numpy(tile))
    return tile_results({name: each.numpy() for name, each in tensors.items()}, description)


@pytest.mark.parametrize("name", list_models())
def test_every_model_tells_the_same(name: str) -> None:
    """Two pictures at once, of which one has less to find."""
    model = small_model(name)
    tiles = np.stack([fitting(PICTURE), fitting(PICTURE) // 2])
    if name == "deepcount":
        tiles = np.resize(PICTURE, (1, 384, 512, 3))
    found = told(model, tiles)
    known = TorchEngine(model).run(tiles)
    assert any(abs(one.count) > 1e-3 for one in known), "nothing to compare"
    for one, other in zip(known, found, strict=True):
        same(one, other)


def test_all_models_are_among_the_small_ones() -> None:
    assert {*CONFIGS, *OTHERS} == set(list_models())


@pytest.mark.parametrize("report", ["density", "localization", "average", "fusion"])
def test_raznet_reports(report: str) -> None:
    """With a theta that takes the density in some cells of the grid and not in others."""
    model = small_model("raznet")
    model.report = report  # type: ignore[assignment]
    model.theta.copy_(torch.linspace(0, 1, 16).view(4, 4))
    with torch.no_grad():
        model.localization.logits.weight.mul_(50)  # type: ignore[union-attr,operator]
    tile = fitting(PICTURE)[None]
    (known,) = TorchEngine(model).run(tile)
    if report != "density":
        assert known.points is not None
        assert len(known.points) > 3
    same(known, told(model, tile)[0])


def zooming(report: str, depth: int) -> CountingModel:
    """A RAZ-Net that finds other points with every look."""
    torch.manual_seed(0)
    options = {"stage": "zoom", "report": report, "depth": depth}
    model = create_model("raznet", width=1 / 16, **options).eval()
    model.theta.copy_(torch.linspace(0, 30, 16).view(4, 4))
    model.theta[0, 0] = torch.inf
    for branch, slope, shift in (
        (model.localization, -50, 0.3),
        (model.zoom.localization, 50, -0.5 if depth == 2 else -0.2),  # type: ignore[union-attr]
    ):
        torch.nn.init.constant_(branch.logits.bias, shift)  # type: ignore[union-attr,arg-type]
        with torch.no_grad():
            branch.logits.weight.mul_(slope)  # type: ignore[union-attr,operator]
    return model


@pytest.mark.parametrize(
    ("report", "depth", "options"),
    [
        ("fusion", 2, Options(most=4000)),
        ("localization", 3, Options(most=4000)),
    ],
)
def test_raznet_looks_again(tmp_path: Path, report: str, depth: int, options: Options) -> None:
    """By every engine at hand, of pictures with regions smaller than the tracer's example."""
    for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    writers = (("m.onnx", export_onnx), ("m.xml", export_openvino), ("m.pt2", export_pt2))
    for name, export in writers:
        written = export(zooming(report, depth), tmp_path / name, PICTURES, options)
        assert written.parity.passed
        engine = ProgramEngine(tmp_path / name) if name == "m.pt2" else None
        counter = Counter(engine) if engine else fastcount.load(tmp_path / name, device="cpu")
        changed = []
        for _, picture in PICTURES:
            known = Counter(TorchEngine(zooming(report, depth)))(picture)
            assert known.points is not None
            assert len(known.points) > 5
            same(known, counter(picture))
            alone = zooming(report, depth)
            alone.depth = depth - 1  # type: ignore[assignment]
            less = Counter(TorchEngine(alone))(picture).points
            assert less is not None
            changed.append(not np.array_equal(less, known.points))
        assert any(changed)


@pytest.mark.parametrize("backbone", ["vgg16", "mobilenet_v2"])
def test_parts_of_any_even_size_are_seen_as_pytorch_does(backbone: str) -> None:
    """Sides that are no whole cells are rounded up, where engines divide towards zero, too."""
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    options = {"stage": "zoom", "depth": 3, "backbone": backbone, "width": 1 / 16}
    graph = CountingGraph(create_model("raznet", **options).eval(), 50).eval()
    description = describe(graph.model, size=None, batch=None, precision="float32", most=50)
    written = to_onnx(trace(graph, description), description).SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    images = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    for height, width in ((66, 90), (70, 64), (34, 130)):
        parts = torch.rand(1, height, width, 3)
        inputs = {"images": images.numpy(), "parts": parts.numpy()}
        with torch.no_grad():
            known = graph(images, parts)
        for name in ("zoomed_attention", "zoomed_scores"):
            (found,) = session.run([name], inputs)
            np.testing.assert_allclose(found, known[name].numpy(), atol=1e-5)


def test_a_zooming_network_of_a_given_size_for_tensorrt(tmp_path: Path) -> None:
    """Without TensorRT as far as its ONNX file, which is checked before what is missing is told."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed here")
    options = Options(size=(64, 96), batch=2, most=4000)
    with pytest.raises(TensorrtMissing) as missing:
        export_trt(zooming("fusion", 3), tmp_path / "m.plan", PICTURES, options)
    assert missing.value.onnx.parity.passed
    engine = OnnxEngine(missing.value.onnx.path, "cpu")
    assert engine.shape == InputShape(2, (64, 96))
    for _, picture in PICTURES:
        known = Counter(SameTiles(TorchEngine(zooming("fusion", 3)), engine))(picture)
        same(known, Counter(engine)(picture))


def test_both_networks_in_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is calibrated on what it will see: parts of the pictures, enlarged."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import onnx

    def choice(units: Sequence[str], *unused: object) -> frozenset[str]:
        """In place of the search, which takes a minute: a few of both networks."""
        first = len(units) // 2
        return frozenset(units) - {*units[first - 3 : first], *units[-3:]}

    monkeypatch.setattr(int8, "left_out", choice)
    path = tmp_path / "m.onnx"
    picture = [("picture", PICTURE)]
    written = export_int8(zooming("fusion", 2), path, picture, PICTURES, Options(most=4000))
    assert written.parity.passed
    nodes = {output: node for node in onnx.load(path).graph.node for output in node.output}

    def rounded(name: str) -> bool:
        """Whether the output ``name`` depends on values of 8 bits."""
        waiting, seen = [name], set()
        while waiting:
            node = nodes.get(waiting.pop())
            if node is not None and node.name not in seen:
                seen.add(node.name)
                if node.op_type == "QuantizeLinear":
                    return True
                waiting += node.input
        return False

    assert rounded("points")
    assert rounded("zoomed_points")


def test_a_model_that_could_look_again_and_does_not() -> None:
    model = zooming("fusion", 2)
    model.depth = 1  # type: ignore[assignment]
    tile = fitting(PICTURE)[None]
    description = describe(model, size=None, batch=None, precision="fp32", most=MOST)
    assert description.zoom is None
    same(TorchEngine(model).run(tile)[0], told(model, tile)[0])


@pytest.mark.parametrize("name", list_models())
def test_what_is_not_a_number_is_not_counted_as_nothing(name: str) -> None:
    """As half precision leaves it behind where it overflows."""
    model = small_model(name)
    if name == "raznet":
        model.report = "localization"  # type: ignore[assignment]
    with torch.no_grad():
        for values in model.parameters():
            values.fill_(torch.nan)
    tiles = np.resize(PICTURE, (1, 384, 512, 3)) if name == "deepcount" else fitting(PICTURE)[None]
    if name == "raznet" or isinstance(model, BoxDetector):
        with pytest.raises(ValueError, match="not numbers"):
            told(model, tiles)
    else:
        (found,) = told(model, tiles)
        assert np.isnan(found.count)


def test_more_than_the_file_holds_is_an_error() -> None:
    model = small_model("centernet")
    tile = fitting(PICTURE)[None]
    (full,) = told(model, tile)
    number = int(full.count)
    assert number > 5
    same(full, told(model, tile, most=number)[0])
    with pytest.raises(ValueError, match=rf"at most 5 candidates .* holds {number}; .* --most"):
        told(model, tile, most=5)


ALLOWED = {"", "ai.onnx"}
TWO_TILES = np.random.default_rng(1).integers(0, 256, (64, 150, 3), np.uint8)


@pytest.mark.parametrize("name", ["centernet", "faster_rcnn", "fcos", "leaf_joint", "raznet"])
def test_onnx_files(tmp_path: Path, name: str) -> None:
    """In operators that TensorRT takes, too; of a picture in tiles, where tiles are taken."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model = small_model(name)
    expected = Counter(TorchEngine(copy.deepcopy(model)))
    options = Options(most=4000)
    written = export_onnx(model, tmp_path / "m.onnx", [("picture", PICTURE)], options)
    assert written.parity.passed
    graph = onnx.load(written.path).graph
    assert {node.domain for node in graph.node} <= ALLOWED
    kinds = {node.op_type for node in graph.node}
    data_dependent = {"NonZero", "NonMaxSuppression"}
    assert kinds & data_dependent == (data_dependent if name == "faster_rcnn" else set())
    assert not kinds & {"Loop", "If"}
    assert all(len(node.output) == 1 for node in graph.node if node.op_type == "MaxPool")
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    numbers = [constants[node.input[1]] for node in graph.node if node.op_type == "TopK"]
    assert [int(number.item()) for number in numbers][-2:] == [3840, 160]
    counter = fastcount.load(written.path, device="cpu")
    same(expected(PICTURE), counter(PICTURE))
    assert expected(PICTURE).points is not None


def test_a_model_that_is_exported_for_one_size_says_so(tmp_path: Path) -> None:
    model = small_model("leaf_regression")
    forward = model.forward
    model.forward = lambda images: forward(images[..., : int(images.shape[-1])])  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"size: leaf_regression .* one size only .* give --size"):
        export_onnx(model, tmp_path / "m.onnx", [("picture", PICTURE)], Options())


def test_faster_rcnn_keeps_pictures_of_a_batch_apart(tmp_path: Path) -> None:
    """By OpenVINO; the number of boxes that its second stage looks at depends on the picture."""
    for package in ("onnx", "onnxscript", "openvino"):
        pytest.importorskip(package)
    options = Options(size=(64, 96), batch=2, most=200)
    written = export_openvino(
        small_model("faster_rcnn"), tmp_path / "m.xml", [("picture", TWO_TILES)], options
    )
    assert written.parity.passed
    assert written.parity.rows[0].count > 10


@pytest.mark.parametrize("name", ["leaf_detection", "leaf_joint"])
def test_leaf_counters_take_any_size(tmp_path: Path, name: str) -> None:
    """Their maps' sides are rounded quotients of a picture's."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    rng = np.random.default_rng(0)
    pictures = [
        (f"{height}x{width}", rng.integers(0, 256, (height, width, 3), np.uint8))
        for height, width in ((290, 411), (305, 303), (700, 295))
    ]
    model = small_model(name)
    model.tiling = replace(model.tiling, tile=(289, 512))
    written = export_onnx(model, tmp_path / "m.onnx", pictures, Options(most=4000))
    assert written.parity.passed


def test_objects_in_the_padding_are_left_out() -> None:
    points = np.array([[3.0, 4.0], [3.0, 9.0], [12.0, 2.0]], np.float32)
    whole = TileResult(
        3.0,
        points=points,
        boxes=np.concatenate([points - 0.5, points + 1.5], axis=1),
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        labels=np.array([0, 1, 1]),
        per_class={"dark": 1.0, "light": 2.0},
    )
    tiles = np.zeros((1, 9, 16, 3), np.uint8)
    (result,) = InputShape(1, (16, 16)).run(tiles, (0, 0, 0), lambda pixels: [whole])
    assert result.count == 2
    assert result.points is not None
    np.testing.assert_array_equal(result.points, points[[0, 2]])
    assert result.per_class == {"dark": 1.0, "light": 1.0}
    for field in ("boxes", "scores", "labels"):
        assert len(getattr(result, field)) == 2


def test_a_density_has_peaks_in_its_file_and_none_in_its_counting() -> None:
    model = small_model("mcnn")
    tile = fitting(PICTURE)[None]
    with torch.inference_mode():
        tensors = CountingGraph(model, MOST)(torch.from_numpy(tile))
    number = int(tensors["found"])
    assert number > 3
    density, points = tensors["density"][0, 0], tensors["points"][0, :number]
    x, y = ((points + 0.5) / 4 - 0.5).round().long().unbind(1)
    torch.testing.assert_close(tensors["scores"][0, :number], density[y, x])
    around = torch.nn.functional.max_pool2d(density[None], 3, stride=1, padding=1)[0]
    torch.testing.assert_close(density[y, x], around[y, x])
    (result,) = told(model, tile)
    assert result.points is None


def test_a_description_without_the_new_fields_is_read() -> None:
    """Files written before a graph could locate objects."""
    old = Description("mcnn", small_model("mcnn").tiling, 4).to_json()
    for line in (',\n "locates": null', ',\n "overlap": null', ',\n "zoom": null'):
        assert line in old
        old = old.replace(line, "")
    assert Description.from_json(old, "here").locates is None


@pytest.mark.parametrize("name", ["raznet", "leaf_detection", "fcos", "centernet"])
def test_a_variant_registered_under_a_name_of_its_own_tells_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(name)
    tile = fitting(PICTURE)[None]
    (known,) = told(model, tile)
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    model.__class__ = registry.register(f"own_{name}")(type("Own", (type(model),), {}))
    assert model.name == f"own_{name}"
    (new,) = told(model, tile)
    same(known, new)


def test_an_output_that_no_graph_can_tell_is_an_error() -> None:
    class Odd(type(create_model("mcnn"))):  # type: ignore[misc]
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images

    with pytest.raises(ValueError, match="cannot export a model whose output is Tensor"):
        told(Odd(), fitting(PICTURE)[None])
