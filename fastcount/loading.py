"""Counters by name or file, each with the engine that its file needs. Imports no PyTorch."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fastcount.shipped import shipped_export

if TYPE_CHECKING:
    from fastcount.runtime.counter import Counter
    from fastcount.runtime.engine import Engine


def load(name_or_path: str | os.PathLike[str], device: str | None = None) -> Counter:
    """A counter with the weights of a shipped model, ``"crowd"`` say, or of a model file.

    A file written by ``fastcount export`` is run by what it was written for: ``.onnx`` by ONNX
    Runtime, ``.xml`` by OpenVINO, ``.plan`` by TensorRT, all without importing PyTorch; ``.pt2``
    by PyTorch, on the CPU. Any other file is a model of PyTorch's. A shipped model on the CPU is
    run by ONNX Runtime where that is installed: it starts and counts faster.

    ``device``: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None takes CUDA where there is one. Nothing
    is fetched. Raises ``ValueError`` for a name that is not shipped, listing those that are, for
    a file that is no model, and for a device that is not there; ``FileNotFoundError`` for a path
    without a file; ``ImportError`` where the package that runs the file is not installed.
    """
    exported = shipped_export(os.fspath(name_or_path))
    if exported is not None and _on_cpu(device) and importlib.util.find_spec("onnxruntime"):
        return load(exported, "cpu")
    suffix = Path(name_or_path).suffix.lower()
    if suffix == ".onnx":
        from fastcount.runtime.onnx_engine import OnnxEngine

        return _counter(OnnxEngine(name_or_path, device))
    if suffix == ".xml":
        from fastcount.runtime.openvino_engine import OpenvinoEngine

        return _counter(OpenvinoEngine(name_or_path, device))
    if suffix == ".plan":
        from fastcount.runtime.tensorrt_engine import TensorrtEngine

        return _counter(TensorrtEngine(name_or_path, device))
    if suffix == ".pt2":
        from fastcount.predict.program_engine import ProgramEngine

        if device not in (None, "cpu"):
            raise ValueError(f"device: a .pt2 file runs on the CPU only, got {device!r}")
        return _counter(ProgramEngine(name_or_path))
    from fastcount.predict import load_with_torch

    return load_with_torch(name_or_path, device)


def _on_cpu(device: str | None) -> bool:
    """Whether ``device`` means the CPU, told without importing PyTorch."""
    # NVIDIA's driver brings this command.
    return device == "cpu" or (device is None and shutil.which("nvidia-smi") is None)


def _counter(engine: Engine) -> Counter:
    from fastcount.runtime.counter import Counter

    return Counter(engine)
