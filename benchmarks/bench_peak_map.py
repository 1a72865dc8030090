"""CountSeg's peaks beside pooling and sorting in torch.

    python -m pytest benchmarks/bench_peak_map.py --benchmark-only

``peak_map`` of eight maps of 256 x 256 beside kornia, torch.compile of the plain formula and the
pooling with indices that such networks use (the two others count an equal neighbour differently:
noise has none). ``top_peaks_mask`` of 32 pictures with 20 classes of 14 x 14, CountSeg's own
size, beside sorting every map.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from fastcount.ops import peak_map, reference, top_peaks_mask

SHAPE = (8, 1, 256, 256)
PIXELS = 8 * 256 * 256
SMALL = (32, 20, 14, 14)


def noise(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.benchmark(group="peak_map")
def test_fastcount(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info |= {"bytes": 8 * PIXELS, "operations": 13 * PIXELS}
    maps = noise(SHAPE)
    assert torch.equal(benchmark(peak_map, maps), reference.peak_map(maps))


@pytest.mark.benchmark(group="peak_map")
def test_torch_pooling(benchmark: BenchmarkFixture) -> None:
    maps = noise(SHAPE)
    own = torch.arange(SHAPE[2] * SHAPE[3]).view(SHAPE[2:])

    def peaks() -> Tensor:
        _, winner = F.max_pool2d(maps, 3, stride=1, padding=1, return_indices=True)
        return torch.where(winner == own, maps, 0.0)

    assert (benchmark(peaks) == peak_map(maps)).float().mean() > 0.999


@pytest.mark.benchmark(group="peak_map")
def test_torch_compile(benchmark: BenchmarkFixture) -> None:
    maps = noise(SHAPE)
    compiled = torch.compile(reference.peak_map)
    compiled(maps)
    assert torch.equal(benchmark(compiled, maps), peak_map(maps))


@pytest.mark.benchmark(group="peak_map")
def test_kornia_nms2d(benchmark: BenchmarkFixture) -> None:
    subpix = pytest.importorskip("kornia.geometry.subpix")
    maps = noise(SHAPE)
    found = benchmark(subpix.nms2d, maps, (3, 3))
    # kornia drops what lies on the border
    torch.testing.assert_close(found[..., 1:-1, 1:-1], peak_map(maps)[..., 1:-1, 1:-1])


@pytest.fixture
def counted(benchmark: BenchmarkFixture) -> tuple[Tensor, Tensor]:
    benchmark.group = "top_peaks_mask"
    draw = torch.Generator().manual_seed(1)
    return peak_map(noise(SMALL)), torch.randint(0, 6, SMALL[:2], generator=draw)


def test_mask_fastcount(benchmark: BenchmarkFixture, counted: tuple[Tensor, Tensor]) -> None:
    entries = counted[0].numel()
    benchmark.extra_info |= {"bytes": 8 * entries, "operations": 4 * entries}
    mask = benchmark(top_peaks_mask, *counted)
    assert torch.equal(mask, reference.top_peaks_mask(*counted))


def test_mask_torch_sort(benchmark: BenchmarkFixture, counted: tuple[Tensor, Tensor]) -> None:
    peaks, counts = counted

    def mask() -> Tensor:
        heights = peaks.flatten(2).sort(descending=True).values
        last = heights.gather(2, (counts - 1).clamp(min=0)[..., None])[..., None]
        return ((peaks > 0) & (peaks >= last) & (counts > 0)[..., None, None]).float()

    assert torch.equal(benchmark(mask), top_peaks_mask(peaks, counts))


def test_mask_torch_topk(benchmark: BenchmarkFixture, counted: tuple[Tensor, Tensor]) -> None:
    peaks, counts = counted
    most = int(counts.max())

    def mask() -> Tensor:
        heights = peaks.flatten(2).topk(most).values
        last = heights.gather(2, (counts - 1).clamp(min=0)[..., None])[..., None]
        return ((peaks > 0) & (peaks >= last) & (counts > 0)[..., None, None]).float()

    assert torch.equal(benchmark(mask), top_peaks_mask(peaks, counts))
