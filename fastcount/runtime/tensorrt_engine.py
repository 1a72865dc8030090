"""A TensorRT plan as an engine. Not run by us yet, see :mod:`fastcount.export.tensorrt`."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastcount.runtime.description import Description, read_sidecar
from fastcount.runtime.exported import ExportedEngine, Inputs, Outputs, Pixels, model_file
from fastcount.runtime.found import outputs_read, outputs_read_again
from fastcount.runtime.zooming import Parts

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
        path = model_file(path)
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
        with _current(self._cuda_context):
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
            engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
            if engine is None:
                raise ValueError(
                    f"path: {path} was not built for this GPU and TensorRT {trt.__version__}; "
                    "export it again on this machine"
                )
            self._engine = engine
            names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
            given = self._inputs()
            outputs = {
                name: trt.nptype(engine.get_tensor_dtype(name))
                for name in names
                if name not in given
            }
            self._read = outputs_read(list(outputs), self.description)
            self._read_again = outputs_read_again(list(outputs))
            self._slots = [
                _Slot(cuda, engine.create_execution_context(), outputs) for _ in range(_SLOTS)
            ]
        self._turn = threading.Lock()  # the slots are for one thread

    def _network(self, pixels: Pixels) -> Outputs:
        return next(self._networks(iter((pixels,))))

    def _network_again(self, parts: Parts) -> Outputs:
        return next(self._computed(iter((self._inputs(parts=parts),)), self._read_again))

    def _networks(self, batches: Iterator[Pixels]) -> Iterator[Outputs]:
        yield from self._computed(map(self._inputs, batches), self._read)

    def _computed(self, batches: Iterator[Inputs], read: list[str]) -> Iterator[Outputs]:
        running: deque[_Slot] = deque()
        free = deque(self._slots)
        try:
            for inputs in batches:
                if not free:
                    yield self._finish(running, free)
                slot = free.popleft()
                with _current(self._cuda_context):
                    slot.start(inputs, read)
                running.append(slot)
            while running:
                yield self._finish(running, free)
        finally:
            # Who asks no further must not leave slots behind whose memory is still being written.
            while running:
                self._finish(running, free)

    def _finish(self, running: deque[_Slot], free: deque[_Slot]) -> Outputs:
        slot = running.popleft()
        with _current(self._cuda_context):
            found = slot.finish()
        free.append(slot)
        return found


@contextmanager
def _current(context: Any) -> Iterator[None]:
    """Makes a CUDA context the thread's own while the block runs."""
    context.push()
    try:
        yield
    finally:
        context.pop()


class _Slot:
    """What one batch in flight needs: a stream, an execution context, pinned and device memory.

    ``outputs``: types by name of all that the plan gives.
    """

    def __init__(self, cuda: Any, context: Any, outputs: dict[str, Any]) -> None:
        self._cuda = cuda
        self._context = context
        self._types = outputs
        self._read: list[str] = []
        self._stream = cuda.Stream()
        self._memory: dict[str, tuple[Any, Any]] = {}  # by tensor: host array, device memory

    def start(self, inputs: Inputs, read: list[str]) -> None:
        """Has copies and network run in the slot's stream, and does not wait for them.

        ``read``: which of the outputs are copied back.
        """
        self._read = read
        for name, values in inputs.items():
            if not self._context.set_input_shape(name, values.shape):
                height, width = values.shape[1:3]
                raise ValueError(f"tile: this plan takes no input of {height}x{width} pixels")
            host, device = self._place(name, values.shape, values.dtype)
            host[:] = values
            self._cuda.memcpy_htod_async(device, host, self._stream)
        for name, kind in self._types.items():
            self._place(name, tuple(self._context.get_tensor_shape(name)), kind)
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError("TensorRT could not run the plan; see its messages above")
        for name in read:
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
