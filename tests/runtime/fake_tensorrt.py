"""Stand-ins for the modules ``tensorrt`` and ``pycuda.driver``, which record what is asked of them.

The plan is a network whose count is the sum of each picture's pixels; that of two networks finds
a point in the corner of each picture, and in each part one in the middle that is as sure as the
part is bright. Copies and computations are put off until their stream is waited for, as on a GPU:
what is read too early is wrong.
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


Values = dict[str, np.ndarray]


def summed(inputs: Values) -> Values:
    return {"count": inputs["images"].sum(axis=(1, 2, 3), dtype=np.float32)}


def looked(inputs: Values) -> Values:
    def points(places: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
        return [places[:, None], scores[:, None], np.ones(len(places), np.int32)]

    number, height, width = inputs["images"].shape[:3]
    corner = np.zeros((number, 2), np.float32)
    parts = inputs["parts"]
    middle = np.full((len(parts), 2), (parts.shape[2] / 2, parts.shape[1] / 2), np.float32)
    found = points(corner, np.full(number, 0.25, np.float32))
    again = points(middle, parts.mean(axis=(1, 2, 3)))
    names = ("points", "scores", "found")
    outputs = dict(zip(names, found, strict=True))
    outputs |= {f"zoomed_{name}": values for name, values in zip(names, again, strict=True)}
    return outputs | {"attention": np.ones((number, 1, height, width), np.float32)}


class Context:
    """TensorRT's: addresses and shapes by tensor."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = tuple(shape)
        return max(shape[1:3]) <= LARGEST

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        blank = {
            name: np.zeros(shape, self.engine.types[name]) for name, shape in self.shapes.items()
        }
        return self.engine.network(blank)[name].shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, handle: int) -> bool:
        EVENTS.append(f"run {handle}")
        addresses, shapes = dict(self.addresses), dict(self.shapes)

        def compute() -> None:
            inputs = {
                name: MEMORY[addresses[name]].reshape(shape) for name, shape in shapes.items()
            }
            for name, values in self.engine.network(inputs).items():
                MEMORY[addresses[name]] = values.reshape(-1)

        STREAMS[handle].work.append(compute)
        return True


class Engine:
    def __init__(self, network: Callable[[Values], Values], *more: str) -> None:
        self.network = network
        inputs: Values = {"images": np.zeros((1, 2, 2, 3), np.uint8)}
        inputs |= {name: np.zeros((1, 2, 2, 3), np.float32) for name in more}
        self.types = {k: v.dtype.type for k, v in {**inputs, **network(inputs)}.items()}
        self.num_io_tensors = len(self.types)

    def get_tensor_name(self, place: int) -> str:
        return list(self.types)[place]

    def get_tensor_dtype(self, name: str) -> type[np.generic]:
        return self.types[name]

    def create_execution_context(self) -> Context:
        return Context(self)


class Runtime:
    def __init__(self, logger: object) -> None:
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        if plan == b"two":
            return Engine(looked, "parts")
        return Engine(summed) if plan == b"plan" else None


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
        host[:] = MEMORY[address].reshape(host.shape)

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
