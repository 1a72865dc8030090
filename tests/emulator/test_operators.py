"""Every operator's ordinary tests once more, on its CUDA kernel in the emulator."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.emulator.toolchain import (
    CSRC,
    REPOSITORY,
    build_library,
    kernel_sources,
    sanitizer_runtime,
)

TESTS = REPOSITORY / "tests" / "ops"
#: Tests of what only the kernels do, run here and, on a GPU, by benchmarks/gpu_check.py.
KERNELS_ALONE = ("narrow_types", "row_alignment", "invalid_points")
#: What a kernel has no part in (checks of arguments, compilation), or what only fast hardware ends.
LEFT_OUT = (
    "compile",
    "opcheck",
    "wrong",
    "refused",
    "gradcheck",
    "carry_the_gradient",
    "passes_at_the_peaks",
    "threads",
    "heap_of_equal",
    "well_under_a_second",
    "beyond_memory",
    "bindings_check",
)
EVERYTHING = " and ".join(f"not {word}" for word in LEFT_OUT)
#: A short list for the sanitizers, under which everything takes ten times as long.
SHORT = (
    "nothing or empty or few or plateau or order or edge or border or padding or batch or by_hand "
    "or no_points or counts_peaks or narrow_types or odd_widths"
)


def operator_tests() -> list[str]:
    names = (path.stem for path in sorted(CSRC.glob("bindings/torch/cuda/*.cpp")))
    files = (file for name in names for file in sorted(TESTS.glob(f"test_{name}*.py")))
    found = [str(file.relative_to(REPOSITORY)) for file in files]
    return [*found, *(f"tests/emulator/{name}.py" for name in KERNELS_ALONE)]


def assert_tests_pass(selection: str, **variables: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.emulator.substitute", "-q", "-x"]
    command.append("-s")  # a sanitizer speaks to the process's own stderr as it ends it
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-k", selection, *operator_tests()],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def test_there_are_kernels_to_test() -> None:
    assert "tests/ops/test_find_peaks.py" in operator_tests()


def test_kernels_agree_with_their_references() -> None:
    assert_tests_pass(EVERYTHING)


def test_kernels_under_sanitizers_in_another_order() -> None:
    build_library(kernel_sources(), sanitize=True)  # outside, where no runtime is preloaded
    assert_tests_pass(
        f"{EVERYTHING} and ({SHORT})",
        FASTCOUNT_EMULATOR_SEED="2",
        FASTCOUNT_EMULATOR_SANITIZE="1",
        LD_PRELOAD=sanitizer_runtime(),
        # Python keeps memory until it exits.
        ASAN_OPTIONS="detect_leaks=0",
    )
