"""Which layers become 8-bit ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastcount.export.quantize import Quantizer, _units, left_out

UNITS = [f"layer{number}" for number in range(50)]


def additive(errors: dict[str, float]) -> tuple[Callable[[frozenset[str]], float], list[int]]:
    """A measure whose error is the sum of those of the layers in 8 bits, and its calls."""
    calls: list[int] = []

    def measure(without: frozenset[str]) -> float:
        calls.append(len(without))
        return sum(error for unit, error in errors.items() if unit not in without)

    return measure, calls


def test_nothing_is_left_out_where_all_is_well() -> None:
    measure, calls = additive({"layer3": 0.009})
    assert left_out(UNITS, measure, 0.01) == frozenset()
    assert calls == [0]


@pytest.mark.parametrize("bad", [["layer7"], ["layer0", "layer20", "layer49"], UNITS[::4]])
def test_the_worst_are_left_out(bad: list[str]) -> None:
    errors = dict.fromkeys(UNITS, 1e-6) | dict.fromkeys(bad, 0.02)
    measure, calls = additive(errors)
    without = left_out(UNITS, measure, 0.01)
    assert set(bad) <= without
    assert measure(without) <= 0.01
    assert len(without) <= 3 * len(bad)  # neighbours go together
    assert len(calls) < 40


def test_what_comes_closest_where_nothing_will_do() -> None:
    errors = {"layer1": 0.5, "nowhere": 0.02}
    measure, _ = additive(errors)
    without = left_out(UNITS, measure, 0.01)
    assert "layer1" in without
    assert measure(without) == pytest.approx(0.02)


def test_units_and_last_layers() -> None:
    """Two heads, one with a peak search; a normalisation's bias; a sum of two paths."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], "first"),
        node("Relu", ["a"], ["b"], "relu"),
        node("Conv", ["b", "w"], ["c"], "second"),
        node("Add", ["c", "bias"], ["d"], "normalisation"),
        node("Add", ["d", "b"], ["e"], "sum"),
        node("Conv", ["e", "w"], ["density"], "density"),
        node("Conv", ["e", "w"], ["heat"], "heat"),
        node("MaxPool", ["heat"], ["peaks"], "peaks"),
    ]
    weights = [onnx.helper.make_tensor(name, 1, [1], [0.0]) for name in ("w", "bias")]
    graph = onnx.helper.make_graph(nodes, "g", [], [], weights)
    units, heads = _units(onnx.helper.make_model(graph))
    assert units == ["first", "relu", "second", "sum"]
    assert heads == ["density", "heat"]


def test_writing_leaves_logging_as_it_was(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Conv", ["images", "w"], ["a"], "first"),
        node("Conv", ["a", "w"], ["count"], "second"),
    ]
    sides = [info(name, onnx.TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("images", "count")]
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 1, 1, 1], [0.5])
    graph = onnx.helper.make_graph(nodes, "g", sides[:1], sides[1:], [weight])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "m")
    inputs = [{"images": np.ones((1, 1, 4, 4), np.float32)}]
    quantizer = Quantizer(tmp_path / "m", tmp_path, inputs, symmetric=False)
    logging.disable(logging.ERROR)
    try:
        quantizer.write(tmp_path / "int8.onnx", without=[])
        assert logging.root.manager.disable == logging.ERROR
    finally:
        logging.disable(logging.NOTSET)
    written = onnx.load(tmp_path / "int8.onnx")
    assert "QuantizeLinear" in {node.op_type for node in written.graph.node}
