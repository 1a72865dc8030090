"""Takes a trained model to production: one file for another engine, checked against PyTorch.

``python -m fastcount.export MODEL --onnx``, the same as ``fastcount export``.
"""

from fastcount.export.int8 import export_int8
from fastcount.export.openvino import export_openvino
from fastcount.export.parity import Parity, ParityError
from fastcount.export.pt2 import export_pt2
from fastcount.export.run import Options, export_onnx
from fastcount.export.tensorrt import TensorrtMissing, export_trt

__all__ = [
    "Options",
    "Parity",
    "ParityError",
    "TensorrtMissing",
    "export_int8",
    "export_onnx",
    "export_openvino",
    "export_pt2",
    "export_trt",
]
