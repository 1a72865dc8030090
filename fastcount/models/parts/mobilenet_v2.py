"""MobileNetV2 (Sandler et al. 2018) as a feature extractor, with batch norm folded away.

torchvision has this network too, but with symmetric padding and batch norm layers. The public
8-bit weights that can start it here were trained under TensorFlow, which pads a stride-2
convolution at the right and bottom only, and have their batch norms folded into the
convolutions; hence a class of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# expansion, channels, repeats, stride of the first: Table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class _Conv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding; sides must be even where stride is 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)

    # Not in forward: peak back-propagation convolves with weights of its own.
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.stride[0] == 2:
            input = F.pad(input, (0, 1, 0, 1))
        result: Tensor = super()._conv_forward(input, weight, bias)
        return result


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection, and a shortcut where shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _Conv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = _Conv(hidden, hidden, 3, stride, groups=hidden)
        self.project = _Conv(hidden, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self.expand is not None:
            y = F.hardtanh(self.expand(y), 0.0, 6.0, inplace=True)
        y = F.hardtanh(self.depthwise(y), 0.0, 6.0, inplace=True)
        y = self.project(y)
        return x + y if self.shortcut else y


class MobileNetV2Features(nn.Module):
    """Feature maps of strides 8, 16 and 32 with 32, 96 and 320 channels.

    ``forward``: (B, 3, H, W) in [-1, 1], H and W multiples of 32, to the maps. The first
    ``frozen`` blocks, the stem counting as one, take no gradient. ``fine``: gives the map of
    stride 4, of 24 channels, before the others.
    """

    channels: tuple[int, ...] = (32, 96, 320)

    def __init__(self, *, frozen: int = 4, fine: bool = False) -> None:
        super().__init__()
        self._given: tuple[int, ...] = (5, 12, 16)  # the last block of each stride
        if fine:
            self.channels, self._given = (24, *self.channels), (2, *self._given)
        self.stem = _Conv(3, 32, 3, 2)
        blocks: list[InvertedResidual] = []
        inputs = 32
        for expansion, outputs, repeats, stride in _STAGES:
            for i in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.frozen = frozen
        for module in [self.stem, *blocks][:frozen]:
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = F.hardtanh(self.stem(x), 0.0, 6.0, inplace=True)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._given:
                maps.append(x)
        return tuple(maps)

    def of_any_size(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of (B, 3, H, W) of any size, sides rounded up: padded to whole cells, of which
        those that come of the padding alone are cut off again."""
        height, width = x.shape[-2:]
        maps = self(F.pad(x, (0, -width % 32, 0, -height % 32)))
        strides = (8, 16, 32) if len(self._given) == 3 else (4, 8, 16, 32)
        # Rounded up by an addition: -(-H // s) is wrong where an engine divides towards zero.
        return tuple(
            one[..., : (height + stride - 1) // stride, : (width + stride - 1) // stride]
            for stride, one in zip(strides, maps, strict=False)
        )


def load_tflite(features: MobileNetV2Features, path: str | Path) -> None:
    """Fills ``features`` from a Keras MobileNetV2 in an 8-bit TensorFlow Lite file.

    Weights are quantised symmetrically per output channel: w = scale_c * q. Layers are found by
    their order, which is the network's own, and every shape is checked.

    Raises ``ValueError`` where the file is not such a network.
    """
    import tflite

    buffer = Path(path).read_bytes()
    if buffer[4:8] != b"TFL3":
        raise ValueError(f"path: {path} is not a TensorFlow Lite file")
    model = tflite.Model.GetRootAs(buffer, 0)
    graph = model.Subgraphs(0)

    def dequantised(index: int) -> Tensor:
        tensor = graph.Tensors(index)
        kind = {tflite.TensorType.INT8: "<i1", tflite.TensorType.INT32: "<i4"}[tensor.Type()]
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
        values = torch.from_numpy(raw.view(kind).reshape(tensor.ShapeAsNumpy()).astype("f4"))
        quantisation = tensor.Quantization()
        scale = torch.from_numpy(quantisation.ScaleAsNumpy().copy())
        shape = [1] * values.ndim
        shape[quantisation.QuantizedDimension() if values.ndim > 1 else 0] = -1
        return values * scale.view(shape)

    convolutions = iter(m for m in features.modules() if isinstance(m, _Conv))
    wanted = {tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D}
    target = next(convolutions, None)
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if target is None or builtin not in wanted:
            continue
        _, weight_index, bias_index = operator.InputsAsNumpy()
        weight, bias = dequantised(weight_index), dequantised(bias_index)
        depthwise = builtin == tflite.BuiltinOperator.DEPTHWISE_CONV_2D
        # (1, kh, kw, C) or (outputs, kh, kw, inputs) to torch's (outputs, inputs / groups, kh, kw)
        weight = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
        if weight.shape != target.weight.shape:
            name = re.sub(r".*/", "", graph.Tensors(weight_index).Name().decode())
            raise ValueError(
                f"path: {path} is no MobileNetV2: layer {name} has the shape "
                f"{tuple(weight.shape)}, expected {tuple(target.weight.shape)}"
            )
        with torch.no_grad():
            target.weight.copy_(weight)
            assert target.bias is not None
            target.bias.copy_(bias)
        target = next(convolutions, None)
    if target is not None:
        raise ValueError(f"path: {path} ends before the network does")
