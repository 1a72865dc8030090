"""nvcc takes every kernel, for every generation of GPU that the package is built for. No GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.emulator.toolchain import CSRC, compile_for_gpus


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on the PATH")
@pytest.mark.parametrize("source", sorted(CSRC.glob("cuda/*.cu")), ids=lambda path: path.name)
def test_compiles_for_every_gpu(source: Path) -> None:
    try:
        assert compile_for_gpus(source).stat().st_size > 0
    except subprocess.CalledProcessError as error:
        pytest.fail(f"nvcc refuses {source.name}: exit code {error.returncode}, words above")
