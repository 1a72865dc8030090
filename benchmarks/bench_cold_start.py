"""From ``fastcount count PICTURE`` to its count, in a process of its own: one picture of 384x512.

    python -m pytest benchmarks/bench_cold_start.py --benchmark-only

What is to be had: under a second on two cores. ``extra_info`` says how much of a run the processor
took, for a machine that does something else besides makes every run longer.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.data.synthetic import render_crowd
from fastcount.shipped import shipped_export


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.benchmark(min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("form", ["table", "json"])
def test_fastcount(benchmark: BenchmarkFixture, tmp_path: Path, form: str) -> None:
    benchmark.group = "cold start to first count"
    picture = tmp_path / "crowd.png"
    crowd = render_crowd(150, size=(384, 512), rng=np.random.default_rng(0))
    Image.fromarray(crowd.image).save(picture)
    command = [sys.executable, "-m", "fastcount", "count", str(picture), "--format", form]
    command += ["--model", str(shipped_export("crowd"))]
    runs = []

    def count() -> None:
        before = processor_seconds()
        subprocess.run(command, check=True, capture_output=True)
        runs.append(processor_seconds() - before)

    benchmark(count)
    benchmark.extra_info["processor_seconds"] = round(min(runs), 3)
