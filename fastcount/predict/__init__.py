"""Counting with PyTorch: a model as an engine, and counters by name."""

from fastcount.predict.load import load_with_torch
from fastcount.predict.torch_engine import TorchEngine

__all__ = ["TorchEngine", "load_with_torch"]
