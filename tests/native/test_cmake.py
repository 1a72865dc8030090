"""The C++ library and its tests build and pass without Python or torch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "native"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake on the PATH")
def test_native_tests_pass() -> None:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    steps = (
        ["cmake", "-S", str(REPOSITORY), "-B", str(BUILD), *generator],
        ["cmake", "--build", str(BUILD), "--parallel", "2"],
        ["ctest", "--test-dir", str(BUILD), "--output-on-failure", "--no-tests=error"],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
