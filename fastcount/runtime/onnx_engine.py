"""An exported model under ONNX Runtime as an engine."""

from __future__ import annotations

import os
import re
from typing import Any

from fastcount.runtime.description import KEY, Description
from fastcount.runtime.exported import ExportedEngine, Inputs, Outputs, Pixels, model_file
from fastcount.runtime.found import outputs_read, outputs_read_again
from fastcount.runtime.quiet_imports import import_onnxruntime
from fastcount.runtime.zooming import Parts

_CUDA = "CUDAExecutionProvider"
_NO_PACKAGE = (
    "onnxruntime is not installed, and ONNX files need it: pip install onnxruntime "
    "(on a machine with a GPU: onnxruntime-gpu)"
)


class OnnxEngine(ExportedEngine):
    """Runs the ``.onnx`` file at ``path``, written by ``fastcount export``. Needs no PyTorch.

    ``device``: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; None takes CUDA where the installed ONNX
    Runtime has it. ``threads``: at most so many of the CPU's; None leaves it to ONNX Runtime.

    Raises ``FileNotFoundError`` where there is no file; ``ImportError`` without onnxruntime;
    ``ValueError`` for a file that is not such a model, or a device that cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        try:
            onnxruntime = import_onnxruntime()
        except ImportError as error:
            raise ImportError(_NO_PACKAGE) from error
        path = model_file(path)
        providers = _providers(device, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone: they are raised, too
        if threads is not None:
            if threads < 1:
                raise ValueError(f"threads: expected at least 1, got {threads}")
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's errors have no class of their own in common
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"path: {path} cannot be run by ONNX Runtime {onnxruntime.__version__} ({reason}); "
                "copy or export it again"
            ) from error
        if device not in (None, "cpu") and _CUDA not in self._session.get_providers():
            raise ValueError(f"device: ONNX Runtime could not start {device!r}; use 'cpu'")
        metadata = self._session.get_modelmeta().custom_metadata_map
        if KEY not in metadata:
            raise ValueError(
                f"path: {path} does not say how to count with it; write it with `fastcount export`"
            )
        super().__init__(Description.from_json(metadata[KEY], path))
        named = [output.name for output in self._session.get_outputs()]
        self._outputs = outputs_read(named, self.description)
        self._outputs_again = outputs_read_again(named)
        self._run = onnxruntime.RunOptions()
        self._run.only_execute_path_to_fetches = True

    def _network(self, pixels: Pixels) -> Outputs:
        return self._read(self._outputs, self._inputs(pixels))

    def _network_again(self, parts: Parts) -> Outputs:
        return self._read(self._outputs_again, self._inputs(parts=parts))

    def _read(self, names: list[str], inputs: Inputs) -> Outputs:
        """What is not read is not computed. Raises ``RuntimeError`` where it fails."""
        try:
            values = self._session.run(names, inputs, self._run)
        except Exception as error:  # as above: of no class that says what it is
            reason = str(error).splitlines()[0]
            raise RuntimeError(
                f"ONNX Runtime failed ({reason}); where memory ran out, count in smaller tiles"
            ) from error
        return dict(zip(names, values, strict=True))


def _providers(device: str | None, available: list[str]) -> list[Any]:
    if device is None:
        return [name for name in (_CUDA, "CPUExecutionProvider") if name in available]
    if device == "cpu":
        return ["CPUExecutionProvider"]
    parts = re.fullmatch(r"cuda(?::(\d+))?", device)
    if parts is None:
        raise ValueError(f"device: expected 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if _CUDA not in available:
        raise ValueError(
            f"device: {device!r} cannot be used: this ONNX Runtime is built without CUDA; "
            "use 'cpu', or pip install onnxruntime-gpu"
        )
    return [(_CUDA, {"device_id": int(parts[1] or 0)}), "CPUExecutionProvider"]
