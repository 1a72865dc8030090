"""The operators' and the runtime's ordinary tests on the CPU's code built with sanitizers.

A short selection: those that try sizes and numbers at which an index could leave its array.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.emulator.toolchain import REPOSITORY, sanitized_cpu_library, sanitizer_runtime

TESTS = ("tests/ops", "tests/runtime/test_native.py")
SELECTED = (
    "test_native or bindings or any_shape or nothing or empty or few or plateau or edge or border "
    "or padding or batch or no_points or counts_peaks"
)
#: What the kernels have no part in, or what takes its time.
LEFT_OUT = ("compile", "opcheck", "gradcheck", "the_library_needs")


#: A map one byte off a multiple of its numbers' size, which neither torch nor C++ allows.
MISALIGNED = """
import tests.native.sanitized
import torch
from fastcount import ops
ops.find_peaks(torch.frombuffer(bytearray(65), dtype=torch.float32, offset=1).view(1, 1, 4, 4))
"""


def run_sanitized(*arguments: str) -> subprocess.CompletedProcess[str]:
    sanitized_cpu_library()  # outside, where no runtime is preloaded
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "LD_PRELOAD": sanitizer_runtime(),
            # Python keeps memory until it exits.
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1",
            "OMP_NUM_THREADS": "2",
        },
        capture_output=True,
        text=True,
    )


def test_sanitizers_watch_the_operators() -> None:
    done = run_sanitized("-c", MISALIGNED)
    assert done.returncode != 0
    assert "load of misaligned address" in done.stderr


def test_cpu_code_under_sanitizers() -> None:
    left_out = " and ".join(f"not {word}" for word in LEFT_OUT)
    pytest = ["-m", "pytest", "-p", "tests.native.sanitized", "-q", "-x", "-p", "no:cacheprovider"]
    pytest.append("-s")  # a sanitizer speaks to the process's own stderr as it ends it
    done = run_sanitized(*pytest, "-k", f"{left_out} and ({SELECTED})", *TESTS)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
