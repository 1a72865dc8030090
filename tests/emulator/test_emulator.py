"""The emulator itself: it computes what CUDA computes, and it finds mistakes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.emulator.toolchain import EMULATOR, build_library, sanitizer_runtime

TRIALS = [Path(__file__).parent / "kernels" / "reduction.cu", *EMULATOR]


@pytest.fixture(scope="module")
def trials() -> ctypes.CDLL:
    library = ctypes.CDLL(str(build_library(TRIALS)))
    library.emulator_message.restype = ctypes.c_char_p
    return library


def pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def row_sums(trials: ctypes.CDLL, values: torch.Tensor, *, barrier: bool) -> torch.Tensor:
    sums = torch.full((values.shape[0],), torch.nan)
    rows, columns = values.shape
    assert trials.trial_row_sums(pointer(values), rows, columns, pointer(sums), int(barrier)) == 0
    return sums


@pytest.mark.parametrize("columns", [1, 31, 128, 1000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reduction_is_right_in_any_order(trials: ctypes.CDLL, columns: int, seed: int) -> None:
    trials.emulator_set_seed(seed)
    values = torch.randint(-50, 50, (5, columns)).float()
    torch.testing.assert_close(row_sums(trials, values, barrier=True), values.sum(1))


@pytest.mark.parametrize("seed", range(5))
def test_missing_barrier_changes_the_result(trials: ctypes.CDLL, seed: int) -> None:
    trials.emulator_set_seed(seed)
    values = torch.randint(1, 50, (8, 128)).float()
    assert not torch.equal(row_sums(trials, values, barrier=False), values.sum(1))


@pytest.mark.parametrize("columns", [1, 64, 333])
def test_dynamic_shared_memory(trials: ctypes.CDLL, columns: int) -> None:
    values = torch.rand(3, columns)
    out = torch.empty_like(values)
    assert trials.trial_reversed(pointer(values), 3, columns, pointer(out), columns) == 0
    assert torch.equal(out, values.flip(1))


@pytest.mark.parametrize(
    ("mistake", "words"),
    [(0, "wait for ever"), (1, "lane that has returned"), (2, "trap")],
)
def test_mistakes_are_launch_failures(trials: ctypes.CDLL, mistake: int, words: str) -> None:
    out = torch.zeros(1, dtype=torch.int32)
    assert trials.trial_mistake(mistake, pointer(out)) == 719
    assert words in trials.emulator_message().decode()
    trials.emulator_clear()


def test_a_launch_that_no_gpu_would_take_is_refused(trials: ctypes.CDLL) -> None:
    values = torch.zeros(1, 8)
    assert trials.trial_row_sums(pointer(values), 0, 8, pointer(values), 1) == 9
    assert trials.trial_reversed(pointer(values), 1, 8, pointer(values), 20000) == 1
    for blocks in (2**31, 2**32 + 5, 2**40):  # not cut to 32 bits, which might be few
        assert trials.trial_blocks(ctypes.c_longlong(blocks)) == 9
    assert trials.trial_blocks(ctypes.c_longlong(1000)) == 0
    trials.emulator_clear()


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(0, torch.float32), (1, torch.float64), (2, torch.float16), (3, torch.bfloat16)],
)
def test_number_types_round_as_torch_does(
    trials: ctypes.CDLL, number: int, dtype: torch.dtype
) -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int16)
    values = bits.view(dtype) if dtype.itemsize == 2 else torch.randn(1000).to(dtype)
    out = torch.empty_like(values)
    assert trials.trial_doubled(pointer(values), len(values), pointer(out), number) == 0
    torch.testing.assert_close(out, 2 * values, rtol=0, atol=0, equal_nan=True)


def run_sanitized(code: str) -> subprocess.CompletedProcess[str]:
    library = build_library(TRIALS, sanitize=True)
    start = f"import ctypes; trials = ctypes.CDLL({str(library)!r}); f = (ctypes.c_float * 64)();"
    environment = {
        **os.environ,
        "LD_PRELOAD": sanitizer_runtime(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "LD_LIBRARY_PATH": str(Path(torch.__file__).parent / "lib"),
    }
    return subprocess.run(
        [sys.executable, "-c", start + code], env=environment, capture_output=True, text=True
    )


def test_sanitizer_accepts_a_right_kernel_and_finds_one_float_too_many() -> None:
    right = run_sanitized("assert trials.trial_reversed(f, 1, 64, f, 64) == 0; print('done')")
    assert (right.returncode, right.stdout) == (0, "done\n"), right.stderr
    wrong = run_sanitized("trials.trial_reversed(f, 1, 64, f, 63); print('done')")
    assert wrong.returncode != 0
    assert "heap-buffer-overflow" in wrong.stderr
