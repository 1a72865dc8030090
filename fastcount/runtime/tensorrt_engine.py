"""A TensorRT plan as an engine. Not run by us yet, see :mod:`fastcount.export.tensorrt`."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastcount.runtime.description import Description, read_sidecar
from fastcount.runtime.exported import INPUT, ExportedEngine, Outputs, Pixels
from fastcount.runtime.found import outputs_read

_SLOTS = 2


class TensorrtEngine(ExportedEngine):
    """Runs the ``.plan`` file at ``path``, written by ``fastcount export --trt`` on such a GPU.

    ``device``: ``"cuda"`` or ``"cuda:1"``. Memory and streams come from PyCUDA, in the context
    that other CUDA libraries of the process use, too. While one batch is computed, the next is
    copied to the GPU. Needs no PyTorch. ``description`` is read from the file beside ``path``
    where it is not given.

    Raises ``FileNotFoundError`` where there is no file; ``ImportError`` without tensorrt or
    pycuda; ``ValueError`` for another device, or a plan for another GPU or TensorRT.
    """

    batches_at_once = 8  # enough that the first and the last, which are alone, matter little

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
        cuda.init()
        self._cuda_context = cuda.Device(int(parts[1] or 0)).retain_primary_context()
        self._cuda_context.push()
        try:
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
            engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
            if engine is None:
                raise ValueError(
                    f"path: {path} was not built for this GPU and TensorRT {trt.__version__}; "
                    "export it again on this machine"
                )
            self._engine = engine
            names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
            outputs = {
                name: trt.nptype(engine.get_tensor_dtype(name)) for name in names if name != INPUT
            }
            read = outputs_read(list(outputs), self.description)
            self._slots = [
                _Slot(cuda, engine.create_execution_context(), outputs, read) for _ in range(_SLOTS)
            ]
        finally:
            self._cuda_context.pop()

    def _network(self, pixels: Pixels) -> Outputs:
        return next(self._networks(iter((pixels,))))

    def _networks(self, batches: Iterator[Pixels]) -> Iterator[Outputs]:
        running: deque[_Slot] = deque()
        free = deque(self._slots)
        for pixels in batches:
            if not free:
                yield self._finish(running, free)
            slot = free.popleft()
            self._cuda_context.push()
            try:
                slot.start(pixels)
            finally:
                self._cuda_context.pop()
            running.append(slot)
        while running:
            yield self._finish(running, free)

    def _finish(self, running: deque[_Slot], free: deque[_Slot]) -> Outputs:
        slot = running.popleft()
        self._cuda_context.push()
        try:
            found = slot.finish()
        finally:
            self._cuda_context.pop()
        free.append(slot)
        return found


class _Slot:
    """What one batch in flight needs: a stream, an execution context, pinned and device memory.

    ``outputs``: types by name of all that the plan gives; ``read``: which of them are copied back.
    """

    def __init__(self, cuda: Any, context: Any, outputs: dict[str, Any], read: list[str]) -> None:
        self._cuda = cuda
        self._context = context
        self._types = outputs
        self._read = read
        self._stream = cuda.Stream()
        self._memory: dict[str, tuple[Any, Any]] = {}  # by tensor: host array, device memory

    def start(self, pixels: Pixels) -> None:
        """Has copies and network run in the slot's stream, and does not wait for them."""
        if not self._context.set_input_shape(INPUT, pixels.shape):
            height, width = pixels.shape[1:3]
            raise ValueError(f"tile: this plan takes no input of {height}x{width} pixels")
        host, device = self._place(INPUT, pixels.shape, np.uint8)
        host[:] = pixels
        self._cuda.memcpy_htod_async(device, host, self._stream)
        for name, kind in self._types.items():
            self._place(name, tuple(self._context.get_tensor_shape(name)), kind)
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError("TensorRT could not run the plan; see its messages above")
        for name in self._read:
            host, device = self._memory[name]
            self._cuda.memcpy_dtoh_async(host, device, self._stream)

    def finish(self) -> Outputs:
        """Waits for what was started; the outputs by name."""
        self._stream.synchronize()
        return {name: self._memory[name][0].copy() for name in self._read}

    def _place(self, name: str, shape: tuple[int, ...], kind: Any) -> tuple[Any, Any]:
        """Memory of ``shape`` for the tensor ``name``, kept for the next batch."""
        known = self._memory.get(name)
        if known is None or known[0].shape != shape:
            host = self._cuda.pagelocked_empty(shape, kind)
            known = self._memory[name] = (host, self._cuda.mem_alloc(host.nbytes))
        self._context.set_tensor_address(name, int(known[1]))
        return known
