"""nvcc took every kernel, for every generation of GPU that the package is built for. No GPU.

setup.py compiles the kernels wherever there is an nvcc, and an error of nvcc fails the build. So
the built library is asked what it holds, instead of compiling everything once more.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from fastcount.ops import native
from tests.emulator.toolchain import CSRC

MAGIC = bytes.fromhex("50ed55ba")  # begins a source's code for all generations
GENERATIONS = {80, 90, 100}
MACHINE_CODE = 2


def machine_code(library: bytes) -> Iterator[set[int]]:
    """Of each compiled source in turn, the generations for which there is machine code."""
    start = library.find(MAGIC)
    while start >= 0:
        header, size = struct.unpack_from("<HQ", library, start + 6)
        entry, end = start + header, start + header + size
        generations = set()
        while entry < end:
            kind, header, size = struct.unpack_from("<HxxIQ", library, entry)
            if kind == MACHINE_CODE:
                generations.update(struct.unpack_from("<I", library, entry + 28))
            entry += header + size
        yield generations
        start = library.find(MAGIC, end)


@pytest.mark.skipif("TORCH_CUDA_ARCH_LIST" in os.environ, reason="built for chosen GPUs only")
def test_every_kernel_is_built_for_every_gpu() -> None:
    library = native._find("_C_cuda")
    if library is None:
        pytest.skip("built without CUDA: there was no nvcc, or torch has no CUDA")
    sources = sorted(CSRC.glob("cuda/*.cu"))
    newest = max(path.stat().st_mtime for path in CSRC.glob("cuda/*"))
    assert library.stat().st_mtime > newest, "older than its sources: setup.py build_ext --inplace"
    assert list(machine_code(library.read_bytes())) == [GENERATIONS] * len(sources)
