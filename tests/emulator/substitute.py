"""A pytest plugin: every operator runs its CUDA kernel, on CPU tensors, in the emulator.

``python -m pytest -p tests.emulator.substitute tests/ops/test_NAME.py`` runs an operator's ordinary
tests on the very ``.cu`` files. ``FASTCOUNT_EMULATOR_SANITIZE=1`` takes the library built with
AddressSanitizer and UBSan, whose runtime must be preloaded (:mod:`tests.emulator.toolchain` knows
where it is); ``FASTCOUNT_EMULATOR_SEED`` is the seed of the order in which threads run.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest
import torch

from tests.emulator.toolchain import build_library, kernel_sources

_LIBRARY = build_library(
    kernel_sources(), sanitize=os.environ.get("FASTCOUNT_EMULATOR_SANITIZE") == "1"
)
_load_library = torch.ops.load_library


def _load_emulated(path: str | Path) -> None:
    """The emulated kernels in place of the CPU's; nothing in place of the GPU's."""
    if Path(path).name.startswith("_C."):
        _load_library(_LIBRARY)


torch.ops.load_library = _load_emulated
from fastcount.ops import native  # noqa: E402  # loads the library

native.narrow_devices.add("cpu")  # CUDA's kernels read float16 and bfloat16
emulator = ctypes.CDLL(str(_LIBRARY))
emulator.emulator_message.restype = ctypes.c_char_p
emulator.emulator_set_seed(ctypes.c_uint64(int(os.environ.get("FASTCOUNT_EMULATOR_SEED", "1"))))


@pytest.fixture(autouse=True)
def _forget_errors() -> None:
    """A kernel that failed does so in its own test only."""
    emulator.emulator_clear()
