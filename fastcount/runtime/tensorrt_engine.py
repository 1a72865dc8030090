"""A TensorRT plan as an engine. Not run by us yet, see :mod:`fastcount.export.tensorrt`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.description import Description, read_sidecar
from fastcount.runtime.exported import INPUT, ExportedEngine


class TensorrtEngine(ExportedEngine):
    """Runs the ``.plan`` file at ``path``, written by ``fastcount export --trt`` on such a GPU.

    ``device``: ``"cuda"`` or ``"cuda:1"``. Memory and stream come from PyCUDA, in the context
    that other CUDA libraries of the process use, too. Needs no PyTorch. ``description`` is read
    from the file beside ``path`` where it is not given.

    Raises ``FileNotFoundError`` where there is no file; ``ImportError`` without tensorrt or
    pycuda; ``ValueError`` for another device, or a plan for another GPU or TensorRT.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str | None = None,
        *,
        description: Description | None = None,
    ) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path: there is no model file {path}")
        parts = re.fullmatch(r"cuda(?::(\d+))?", device or "cuda")
        if parts is None:
            raise ValueError(f"device: a .plan file runs on 'cuda' or 'cuda:N', got {device!r}")
        super().__init__(description or read_sidecar(path))
        try:
            import pycuda.driver as cuda
            import tensorrt as trt
        except ImportError as error:
            raise ImportError(
                f"{error.name} is not installed, and .plan files need it: "
                "pip install tensorrt-cu13 pycuda"
            ) from error
        self._cuda = cuda
        cuda.init()
        self._cuda_context = cuda.Device(int(parts[1] or 0)).retain_primary_context()
        self._memory: dict[str, tuple[Any, Any]] = {}  # by tensor: host array, device memory
        self._cuda_context.push()
        try:
            self._stream = cuda.Stream()
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
            engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
            if engine is None:
                raise ValueError(
                    f"path: {path} was not built for this GPU and TensorRT {trt.__version__}; "
                    "export it again on this machine"
                )
            self._engine = engine
            self._context = engine.create_execution_context()
        finally:
            self._cuda_context.pop()
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._outputs = [name for name in names if name != INPUT]

    def _network(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self._cuda_context.push()
        try:
            if not self._context.set_input_shape(INPUT, pixels.shape):
                height, width = pixels.shape[1:3]
                raise ValueError(f"tile: this plan takes no input of {height}x{width} pixels")
            host, device = self._place(INPUT, pixels.shape, np.uint8)
            host[:] = pixels
            self._cuda.memcpy_htod_async(device, host, self._stream)
            outputs = {}
            for name in self._outputs:
                shape = tuple(self._context.get_tensor_shape(name))
                outputs[name] = self._place(name, shape, np.float32)
            if not self._context.execute_async_v3(self._stream.handle):
                raise RuntimeError("TensorRT could not run the plan; see its messages above")
            for host, device in outputs.values():
                self._cuda.memcpy_dtoh_async(host, device, self._stream)
            self._stream.synchronize()
            return {name: host.copy() for name, (host, _) in outputs.items()}
        finally:
            self._cuda_context.pop()

    def _place(self, name: str, shape: tuple[int, ...], kind: Any) -> tuple[Any, Any]:
        """Pinned and device memory of ``shape`` for the tensor ``name``, kept for the next run."""
        known = self._memory.get(name)
        if known is None or known[0].shape != shape:
            host = self._cuda.pagelocked_empty(shape, kind)
            known = self._memory[name] = (host, self._cuda.mem_alloc(host.nbytes))
        self._context.set_tensor_address(name, int(known[1]))
        return known
