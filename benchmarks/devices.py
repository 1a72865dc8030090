"""The devices that operators are timed on, and waiting until one of them is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def finished(work: Callable[[], T], device: str) -> Callable[[], T]:
    if device == "cpu":
        return work

    def wait() -> T:
        result = work()
        torch.cuda.synchronize()
        return result

    return wait
