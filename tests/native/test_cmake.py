"""The C++ library and its tests build and pass without Python or torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "native"
#: Where pip puts cmake and ninja, then the machine's own.
TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake", path=TOOLS) is None, reason="no cmake")
def test_native_tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", TOOLS)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    steps = (
        ["cmake", "-S", str(REPOSITORY), "-B", str(BUILD), *generator],
        ["cmake", "--build", str(BUILD), "--parallel", "2"],
        ["ctest", "--test-dir", str(BUILD), "--output-on-failure", "--no-tests=error"],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
