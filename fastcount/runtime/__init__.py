"""Counting with a trained network, whatever runs it. Imports no PyTorch."""

from fastcount.runtime.counter import Counter
from fastcount.runtime.engine import Engine, TileResult
from fastcount.runtime.onnx_engine import OnnxEngine
from fastcount.runtime.tiling import Tiling

__all__ = ["Counter", "Engine", "OnnxEngine", "TileResult", "Tiling"]
