"""RAZ-Net's attention map beside scipy's k-d tree.

    python -m pytest benchmarks/bench_attention_map.py --benchmark-only

The crowd is as large as the fullest picture of UCF-QNRF: 12,865 points on 2013 x 2902 pixels, three
neighbours a pixel. The tree answers for 5.8 million pixels in as many threads as torch has; it
takes long enough that it runs three times only.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.ops import attention_map

COUNT, SIZE, NEIGHBOURS, SIGMA = 12_865, (2013, 2902), 3, 3.0


@pytest.fixture(params=["even", "clustered"])
def crowd(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> torch.Tensor:
    benchmark.group = f"attention_map, {request.param}"
    unit = torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(0))
    if request.param == "clustered":
        unit = unit.pow(3)
    return unit * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])


def test_fastcount(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    drawn = benchmark(attention_map, crowd, SIZE, k=NEIGHBOURS, sigma=SIGMA)
    assert drawn.shape == (1, 1, *SIZE)


def test_scipy_ckdtree(benchmark: BenchmarkFixture, crowd: torch.Tensor) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    points = crowd.numpy()

    def drawn() -> torch.Tensor:
        rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
        pixels = np.stack([cols.ravel(), rows.ravel()], axis=1)
        distance, _ = spatial.cKDTree(points).query(
            pixels, k=NEIGHBOURS, workers=torch.get_num_threads()
        )
        mean = distance.mean(axis=1).reshape(SIZE)
        return torch.from_numpy(np.exp(-0.5 * (mean / SIGMA) ** 2).astype(np.float32))

    attention = benchmark.pedantic(drawn, rounds=3, warmup_rounds=0)
    ours = attention_map(crowd, SIZE, k=NEIGHBOURS, sigma=SIGMA)[0, 0]
    torch.testing.assert_close(ours, attention, rtol=1e-4, atol=1e-6)
