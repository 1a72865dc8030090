"""The convolutions of an ONNX file in 8-bit integers, those that the count can bear it of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcount.runtime.exported import Inputs
from fastcount.runtime.quiet_imports import import_onnxruntime

if TYPE_CHECKING:
    import onnx

# What 8-bit arithmetic is there for, and what hands 8-bit values on from one to the next.
_LAYERS = ("Conv", "ConvTranspose", "Gemm")
_BETWEEN = ("Add", "Concat", "MaxPool", "Relu", "Clip")
_MOST_GROUPS = 24


class Quantizer:
    """Writes the float32 file ``exact`` again with 8-bit layers: Q/DQ pairs about them.

    Weights have a scale a channel, activations one a tensor: the range that they have on
    ``inputs``, what the file is given. ``symmetric``: signed activations about 0, as TensorRT wants
    them, and biases in float32. ``folder``: for files on the way.

    ``units``: names of the nodes that can be of 8 bits, in the graph's order. The last layers
    before every output are not among them: they cost little, and a count is a sum of what they
    give. Neither is what follows them, the finding of peaks and boxes.
    """

    def __init__(
        self, exact: Path, folder: Path, inputs: Iterable[Inputs], *, symmetric: bool
    ) -> None:
        import onnx

        self._exact = onnx.load(exact)
        self._symmetric = symmetric
        self.units, self.heads = _units(self._exact)
        self._ranges = _ranges(exact, folder / "ranges.onnx", inputs)

    def write(self, path: Path, without: Collection[str], gain: float = 1.0) -> None:
        """The file with all ``units`` in 8 bits but those ``without``; the last layers' results
        are multiplied by ``gain``."""
        import onnx
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        model = onnx.ModelProto()
        model.CopyFrom(self._exact)
        if gain != 1.0:
            _multiply(model, self.heads, gain)
        chosen = [unit for unit in self.units if unit not in set(without)]
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it advises a pre-processing that folding has done
        try:
            quantizer = QDQQuantizer(
                model,
                True,  # a scale for each channel of the weights
                # Seven bits for weights: without VNNI, sums of two products overflow 16 bits.
                not self._symmetric,
                QuantType.QInt8,
                QuantType.QInt8 if self._symmetric else QuantType.QUInt8,
                self._ranges,
                chosen or ["none of them"],
                [],
                [*_LAYERS, *_BETWEEN],
                {
                    "ActivationSymmetric": self._symmetric,
                    "WeightSymmetric": True,
                    "QuantizeBias": not self._symmetric,
                },
            )
            quantizer.quantize_model()
        finally:
            logging.disable(before)
        path.write_bytes(quantizer.model.model.SerializeToString())


def left_out(
    units: Sequence[str], measure: Callable[[frozenset[str]], float], aim: float
) -> frozenset[str]:
    """As few of ``units`` as it takes to leave out for an error of at most ``aim``.

    ``measure``: the error with those units in float32. Where all in 8 bits are too far off, each
    of at most 24 groups of neighbours is tried by itself, and they are left out by falling error:
    the worst, the two worst, the four worst and so on, and then as many fewer as will do. Where
    nothing is close enough, what came closest.
    """
    nothing: frozenset[str] = frozenset()
    errors = {nothing: measure(nothing)}
    if errors[nothing] <= aim:
        return nothing
    every = frozenset(units)
    length = -(-len(units) // _MOST_GROUPS)
    groups = [units[start : start + length] for start in range(0, len(units), length)]
    alone = [measure(every - set(group)) for group in groups]
    order = sorted(range(len(groups)), key=lambda i: -alone[i])

    def close(number: int) -> bool:
        tried = frozenset(unit for i in order[:number] for unit in groups[i])
        if tried not in errors:
            errors[tried] = measure(tried)
        return errors[tried] <= aim

    number = 1
    while number < len(groups) and not close(number):
        number *= 2
    low, high = number // 2, min(number, len(groups))  # too few, perhaps enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if close(middle) else (middle, high)
    close(high)
    enough = [tried for tried, error in errors.items() if error <= aim]
    if enough:
        return min(enough, key=len)
    return min(errors, key=lambda tried: errors[tried])


def _units(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """Names of the nodes that may be of 8 bits, and of the last layers."""
    nodes = list(model.graph.node)
    makers = {output: place for place, node in enumerate(nodes) for output in node.output}
    constants = {one.name for one in model.graph.initializer}
    before: list[set[int]] = []  # the layers that each node's result depends on
    for node in nodes:
        sources = [makers[name] for name in node.input if name in makers]
        own = set().union(*(before[source] for source in sources))
        own |= {source for source in sources if nodes[source].op_type in _LAYERS}
        before.append(own)
    layers = [place for place, node in enumerate(nodes) if node.op_type in _LAYERS]
    inner = set().union(*(before[place] for place in layers))
    feeding = _upstream(layers, nodes, makers)
    units = []
    for place, node in enumerate(nodes):
        if node.op_type in _LAYERS:
            fits = place in inner
        else:
            # Not the bias of a normalisation, whose neighbours are no 8-bit arithmetic either.
            fits = node.op_type in _BETWEEN and place in feeding
            fits = fits and not (node.op_type == "Add" and constants & set(node.input))
        if fits:
            units.append(node.name)
    return units, [nodes[place].name for place in layers if place not in inner]


def _upstream(places: Iterable[int], nodes: Sequence[Any], makers: dict[str, int]) -> set[int]:
    """The nodes that those at ``places`` depend on."""
    found: set[int] = set()
    waiting = list(places)
    while waiting:
        for name in nodes[waiting.pop()].input:
            source = makers.get(name)
            if source is not None and source not in found:
                found.add(source)
                waiting.append(source)
    return found


def _multiply(model: onnx.ModelProto, layers: Collection[str], factor: float) -> None:
    """Scales weights and biases of ``layers``."""
    import onnx

    names = {
        name for node in model.graph.node if node.name in set(layers) for name in node.input[1:]
    }
    for one in model.graph.initializer:
        if one.name in names:
            values = onnx.numpy_helper.to_array(one)
            scaled = (values * factor).astype(values.dtype)
            one.CopyFrom(onnx.numpy_helper.from_array(scaled, one.name))


def _ranges(exact: Path, augmented: Path, inputs: Iterable[Inputs]) -> Any:
    """What every tensor that may be of 8 bits lies between on ``inputs``."""
    import_onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self._rest = iter(inputs)

        def get_next(self) -> Inputs | None:
            return next(self._rest, None)

    calibrator = create_calibrator(
        exact,
        [*_LAYERS, *_BETWEEN],
        augmented_model_path=str(augmented),
        calibrate_method=CalibrationMethod.MinMax,
    )
    calibrator.collect_data(Reader())
    return calibrator.compute_data()
