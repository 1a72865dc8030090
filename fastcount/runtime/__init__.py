"""Counting with a trained network, whatever runs it. Imports no PyTorch."""

from fastcount.runtime.counter import Counter
from fastcount.runtime.engine import Engine, TileResult
from fastcount.runtime.letterbox import Letterboxed, letterbox
from fastcount.runtime.onnx_engine import OnnxEngine
from fastcount.runtime.peaks import Peaks, find_peaks
from fastcount.runtime.tiling import Tiling

__all__ = [
    "Counter",
    "Engine",
    "Letterboxed",
    "OnnxEngine",
    "Peaks",
    "TileResult",
    "Tiling",
    "find_peaks",
    "letterbox",
]
