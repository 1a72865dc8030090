"""An ONNX file that needs no PyTorch to be made, whose right answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastcount.runtime import Tiling
from fastcount.runtime.description import KEY, Description

onnx: Any = pytest.importorskip("onnx")

STRIDE = 4
TILING = Tiling(tile=(256, 256), margin=8, align=8, fill=(0, 0, 0))
DESCRIPTION = Description(
    model="boxes", tiling=TILING, stride=STRIDE, classes=("spot",), card={"mae": 1.5, "name": "Ä"}
)
PICTURE = np.random.default_rng(0).integers(0, 256, (77, 101, 3), np.uint8)


def write(path: Path, description: Description = DESCRIPTION, *, described: bool = True) -> Path:
    """A network whose density is the mean colour of 4 x 4 pixels, divided by 255."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    batch = description.batch or "batch"
    height, width = description.size or ("height", "width")
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=floats),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["planes", "channel"], ["grey"], keepdims=1),
        helper.make_node(
            "AveragePool", ["grey"], ["means"], kernel_shape=[4, 4], strides=[4, 4], ceil_mode=0
        ),
        helper.make_node("Div", ["means", "scale"], ["density"]),
        helper.make_node("ReduceSum", ["density", "axes"], ["count"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "boxes",
        [
            helper.make_tensor_value_info(
                "images", onnx.TensorProto.UINT8, [batch, height, width, 3]
            )
        ],
        [
            helper.make_tensor_value_info("count", floats, [batch]),
            helper.make_tensor_value_info("density", floats, [batch, 1, None, None]),
        ],
        [
            helper.make_tensor("channel", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("scale", floats, [1], [255.0]),
            helper.make_tensor("axes", onnx.TensorProto.INT64, [3], [1, 2, 3]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if described:
        model.metadata_props.add(key=KEY, value=description.to_json())
    path.write_bytes(model.SerializeToString())
    return path


def expected_density(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The same in NumPy, black beyond the picture."""
    height, width = (-(-side // STRIDE) for side in picture.shape[:2])
    padded = np.zeros((height * STRIDE, width * STRIDE), np.float64)
    padded[: picture.shape[0], : picture.shape[1]] = picture.mean(axis=2) / 255
    return padded.reshape(height, STRIDE, width, STRIDE).mean(axis=(1, 3))
