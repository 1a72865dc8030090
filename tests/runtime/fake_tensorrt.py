"""Stand-ins for the modules ``tensorrt`` and ``pycuda.driver``, which record what is asked of them.

The plan is a network whose count is the sum of each picture's pixels. Copies and computations are
put off until their stream is waited for, as on a GPU: what is read too early is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

MEMORY: dict[int, np.ndarray] = {}  # by address
EVENTS: list[str] = []
LARGEST = 64  # pixels a side that the plan takes


class Stream:
    number = 0

    def __init__(self) -> None:
        Stream.number += 1
        self.handle = Stream.number
        self.work: list[Callable[[], None]] = []
        STREAMS[self.handle] = self

    def synchronize(self) -> None:
        EVENTS.append(f"wait {self.handle}")
        for each in self.work:
            each()
        self.work.clear()


STREAMS: dict[int, Stream] = {}


class Context:
    """TensorRT's: addresses and shapes by tensor."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        return max(shape[1:3]) <= LARGEST

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape[:1]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, handle: int) -> bool:
        EVENTS.append(f"run {handle}")
        addresses, shape = dict(self.addresses), self.shape

        def compute() -> None:
            pixels = MEMORY[addresses["images"]].reshape(shape)
            MEMORY[addresses["count"]][:] = pixels.sum(axis=(1, 2, 3), dtype=np.float32)

        STREAMS[handle].work.append(compute)
        return True


class Engine:
    num_io_tensors = 2

    def get_tensor_name(self, place: int) -> str:
        return ("images", "count")[place]

    def get_tensor_dtype(self, name: str) -> type[np.generic]:
        return {"images": np.uint8, "count": np.float32}[name]

    def create_execution_context(self) -> Context:
        return Context()


class Runtime:
    def __init__(self, logger: object) -> None:
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        return Engine() if plan == b"plan" else None


class Logger:
    WARNING = 2

    def __init__(self, level: int) -> None:
        pass


def _allocate(size: int) -> int:
    address = 4096 * (len(MEMORY) + 1)
    MEMORY[address] = np.zeros(size // 4, np.float32)  # pixels bring a type of their own
    return address


def _upload(address: int, host: np.ndarray, stream: Stream) -> None:
    def copy() -> None:
        MEMORY[address] = host.copy().reshape(-1)

    stream.work.append(copy)


def _download(host: np.ndarray, address: int, stream: Stream) -> None:
    def copy() -> None:
        host[:] = MEMORY[address]

    stream.work.append(copy)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes them the modules that the engine imports."""
    held = SimpleNamespace(push=lambda: EVENTS.append("push"), pop=lambda: EVENTS.append("pop"))
    driver: Any = ModuleType("pycuda.driver")
    driver.init = lambda: None
    driver.Device = lambda number: SimpleNamespace(retain_primary_context=lambda: held)
    driver.Stream = Stream
    driver.pagelocked_empty = np.empty
    driver.mem_alloc = _allocate
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = _upload, _download
    pycuda: Any = ModuleType("pycuda")
    pycuda.driver = driver
    tensorrt: Any = ModuleType("tensorrt")
    tensorrt.Runtime, tensorrt.Logger, tensorrt.__version__ = Runtime, Logger, "0"
    tensorrt.nptype = lambda kind: kind
    for name, module in (("pycuda", pycuda), ("pycuda.driver", driver), ("tensorrt", tensorrt)):
        monkeypatch.setitem(sys.modules, name, module)
    MEMORY.clear()
    EVENTS.clear()
