"""RAZ-Net's labels beside scattering in torch.

    python -m pytest benchmarks/bench_cross_label.py --benchmark-only

Crosses of 1,000 points on 768 x 1024. The peer writes all five pixels of every cross at once and
drops those outside the picture; OpenCV widens an image of dots by the cross.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from fastcount.ops import cross_label

COUNT, HEIGHT, WIDTH = 1_000, 768, 1024
ARMS = torch.tensor([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])

pytestmark = pytest.mark.benchmark(group="cross_label")


def make_points() -> Tensor:
    unit = torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(0))
    return unit * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])


def test_fastcount(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["bytes"] = 4 * HEIGHT * WIDTH + (16 + 20) * COUNT
    label = benchmark(cross_label, make_points(), (HEIGHT, WIDTH))
    assert label.shape == (1, 1, HEIGHT, WIDTH)


def test_torch_scatter(benchmark: BenchmarkFixture) -> None:
    points = make_points()

    def scattered() -> Tensor:
        x, y = ((points + 0.5).floor().long()[:, None] + ARMS).reshape(-1, 2).unbind(1)
        inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
        label = torch.zeros(1, 1, HEIGHT, WIDTH)
        label.view(-1)[(y * WIDTH + x)[inside]] = 1.0
        return label

    label = benchmark(scattered)
    assert torch.equal(label, cross_label(points, (HEIGHT, WIDTH)))


def test_opencv_dilate(benchmark: BenchmarkFixture) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(torch.get_num_threads())
    points = make_points().numpy()
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

    def widened() -> Tensor:
        dots = np.zeros((HEIGHT, WIDTH), np.float32)
        cells = np.floor(points + 0.5).astype(np.int64)
        dots[cells[:, 1], cells[:, 0]] = 1.0
        return torch.from_numpy(cv2.dilate(dots, cross))

    label = benchmark(widened)
    assert torch.equal(label, cross_label(make_points(), (HEIGHT, WIDTH))[0, 0])
