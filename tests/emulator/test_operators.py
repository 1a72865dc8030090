"""Every operator's ordinary tests once more, on its CUDA kernel in the emulator."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.emulator.toolchain import (
    CSRC,
    REPOSITORY,
    build_library,
    kernel_sources,
    sanitizer_runtime,
)

#: What a kernel has no part in, or what takes long and shows nothing more of it.
LEFT_OUT = "not compile and not opcheck and not script and not traced"


def test_files() -> list[str]:
    names = (path.stem for path in sorted(CSRC.glob("bindings/torch/cuda/*.cpp")))
    files = (REPOSITORY / "tests" / "ops" / f"test_{name}.py" for name in names)
    return [str(file.relative_to(REPOSITORY)) for file in files if file.exists()]


def run_tests(selection: str, **variables: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.emulator.substitute", "-q", "-x"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-k", selection, *test_files()],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def test_there_are_kernels_to_test() -> None:
    assert "tests/ops/test_find_peaks.py" in test_files()


@pytest.mark.parametrize("seed", [1, 2])
def test_kernels_agree_with_their_references(seed: int) -> None:
    run_tests(LEFT_OUT, FASTCOUNT_EMULATOR_SEED=str(seed))


def test_kernels_under_sanitizers() -> None:
    build_library(kernel_sources(), sanitize=True)  # outside, where no runtime is preloaded
    run_tests(
        f"({LEFT_OUT}) and (nothing or empty or plateau or order or edge or border or padding)",
        FASTCOUNT_EMULATOR_SANITIZE="1",
        LD_PRELOAD=str(sanitizer_runtime()),
        # Python itself keeps memory at exit; torch's exceptions pass through its own libraries.
        ASAN_OPTIONS="detect_leaks=0:detect_odr_violation=0",
    )
