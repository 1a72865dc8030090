"""The shipped ``crowd`` model beside CSRNet: pictures of 1024x768 a second, in one run.

    python -m pytest benchmarks/bench_crowd.py --benchmark-only

CSRNet runs in eager PyTorch, channels last, with random weights: its speed does not depend on
them. ``crowd`` runs as users run it: picture in, :class:`fastcount.Counting` out.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import fastcount
from fastcount.models import create_model

SIZE = (768, 1024)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.mark.benchmark(group="1024x768", min_rounds=5, warmup=True, warmup_iterations=1)
def test_crowd(benchmark: BenchmarkFixture, picture: NDArray[np.uint8]) -> None:
    counter = fastcount.load("crowd", device="cpu")
    counting = benchmark(counter, picture)
    assert counting.size == SIZE


@pytest.mark.benchmark(group="1024x768", min_rounds=3, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
def test_csrnet_eager(benchmark: BenchmarkFixture, picture: NDArray[np.uint8], layout: str) -> None:
    memory = getattr(torch, layout)
    model = create_model("csrnet").eval().to(memory_format=memory)
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    images = images.contiguous(memory_format=memory)
    with torch.inference_mode():
        output = benchmark(model, images)
    assert output.density.shape == (1, 1, SIZE[0] // 8, SIZE[1] // 8)
