"""Distances to the nearest points, and RAZ-Net's attention map of them, beside scipy's k-d tree.

    python -m pytest benchmarks/bench_attention_map.py --benchmark-only

The attention map is that of a crowd as large as the fullest picture of UCF-QNRF: 12,865 points on
2013 x 2902 pixels, three neighbours a pixel. The tree answers for 5.8 million pixels in as many
threads as torch has; it takes long enough that it runs three times only. The distances alone are
those of 1,000 points on 768 x 1024.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from fastcount.ops import attention_map, neighbour_distance_map

COUNT, SIZE, NEIGHBOURS, SIGMA = 12_865, (2013, 2902), 3, 3.0
FEW, SMALL = 1_000, (768, 1024)


def scattered(count: int, size: Sequence[int], *, clustered: bool) -> Tensor:
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    return (unit.pow(3) if clustered else unit) * torch.tensor([size[1] - 1.0, size[0] - 1.0])


@pytest.fixture(params=["even", "clustered"])
def clustered(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "clustered")


def named(operator: str, clustered: bool) -> str:
    return f"{operator}, {'clustered' if clustered else 'even'}"


def floor(size: Sequence[int], bytes_of_a_cell: int) -> dict[str, int]:
    """Distances to the twelve points that its tile lists, of four operations in float64 each."""
    cells = size[0] * size[1]
    return {"bytes": bytes_of_a_cell * cells, "operations": cells * 12 * 4 * 2}


def by_tree(
    points: Tensor, size: Sequence[int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    spatial = pytest.importorskip("scipy.spatial")
    rows, cols = np.mgrid[: size[0], : size[1]]
    pixels = np.stack([cols.ravel(), rows.ravel()], axis=1)
    distance, _ = spatial.cKDTree(points.numpy()).query(
        pixels, k=NEIGHBOURS, workers=torch.get_num_threads()
    )
    return np.asarray(distance.mean(axis=1).reshape(size))


def test_fastcount(benchmark: BenchmarkFixture, clustered: bool) -> None:
    benchmark.group = named("attention_map", clustered)
    benchmark.extra_info |= floor(SIZE, 4)
    crowd = scattered(COUNT, SIZE, clustered=clustered)
    drawn = benchmark(attention_map, crowd, SIZE, k=NEIGHBOURS, sigma=SIGMA)
    assert drawn.shape == (1, 1, *SIZE)


def test_scipy_ckdtree(benchmark: BenchmarkFixture, clustered: bool) -> None:
    benchmark.group = named("attention_map", clustered)
    crowd = scattered(COUNT, SIZE, clustered=clustered)

    def drawn() -> Tensor:
        mean = by_tree(crowd, SIZE)
        return torch.from_numpy(np.exp(-0.5 * (mean / SIGMA) ** 2).astype(np.float32))

    attention = benchmark.pedantic(drawn, rounds=3, warmup_rounds=0)
    ours = attention_map(crowd, SIZE, k=NEIGHBOURS, sigma=SIGMA)[0, 0]
    torch.testing.assert_close(ours, attention, rtol=1e-4, atol=1e-6)


def test_distances_fastcount(benchmark: BenchmarkFixture, clustered: bool) -> None:
    benchmark.group = named("neighbour_distance_map", clustered)
    benchmark.extra_info |= floor(SMALL, 4)
    points = scattered(FEW, SMALL, clustered=clustered)
    distance = benchmark(neighbour_distance_map, points, SMALL, k=NEIGHBOURS)
    assert distance.shape == (1, 1, *SMALL)


def test_distances_scipy_ckdtree(benchmark: BenchmarkFixture, clustered: bool) -> None:
    benchmark.group = named("neighbour_distance_map", clustered)
    points = scattered(FEW, SMALL, clustered=clustered)
    distance = benchmark(by_tree, points, SMALL)
    ours = neighbour_distance_map(points.double(), SMALL, k=NEIGHBOURS)[0, 0]
    torch.testing.assert_close(ours, torch.from_numpy(distance), rtol=1e-5, atol=1e-9)
