"""Counters by name or file, each with the engine that its file needs. Imports no PyTorch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastcount.runtime.counter import Counter


def load(name_or_path: str | os.PathLike[str], device: str | None = None) -> Counter:
    """A counter with the weights of a shipped model, ``"crowd"`` say, or of a model file.

    A file ending in ``.onnx``, written by ``fastcount export``, is run by ONNX Runtime, and
    PyTorch is not imported; any other is run by PyTorch.

    ``device``: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None takes CUDA where there is one. Nothing
    is fetched. Raises ``ValueError`` for a name that is not shipped, listing those that are, for
    a file that is no model, and for a device that is not there; ``FileNotFoundError`` for a path
    without a file; ``ImportError`` where the package that runs the file is not installed.
    """
    if Path(name_or_path).suffix.lower() == ".onnx":
        from fastcount.runtime.counter import Counter
        from fastcount.runtime.onnx_engine import OnnxEngine

        return Counter(OnnxEngine(name_or_path, device))
    from fastcount.predict.load import load as load_with_torch

    return load_with_torch(name_or_path, device)
