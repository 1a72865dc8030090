"""Operators of maps and of points against their references, on shapes that hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastcount import ops
from fastcount.ops import reference

SHAPES = st.tuples(
    st.integers(0, 3), st.integers(0, 2), st.integers(0, 40), st.integers(0, 40)
)  # of maps; any side may be 0
DTYPES = st.sampled_from([torch.float32, torch.float64])


def levels(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
    """Noise of few levels, so that neighbours are often equal, and 0 among them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 7, shape, generator=generator).to(dtype) / 6


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, radius=st.integers(0, 12), dtype=DTYPES, seed=st.integers(0, 999))
def test_maps(shape: tuple[int, ...], radius: int, dtype: torch.dtype, seed: int) -> None:
    maps = levels(shape, seed, dtype)
    peaks = ops.peak_map(maps, radius=radius)
    assert torch.equal(peaks, reference.peak_map(maps, radius=radius))
    counts = torch.arange(shape[0] * shape[1]).reshape(shape[:2]) % 4
    assert torch.equal(ops.top_peaks_mask(maps, counts), reference.top_peaks_mask(maps, counts))
    kwargs: dict[str, Any] = {"kernel_size": 2 * radius + 1, "beta": 8.0}
    softened = ops.spatial_softmax(maps, **kwargs)
    torch.testing.assert_close(softened, reference.spatial_softmax(maps, **kwargs))
    detection, count = ops.soft_count(maps, **kwargs)
    expected = reference.soft_count(maps, **kwargs)
    torch.testing.assert_close(detection, expected[0])
    torch.testing.assert_close(count, expected[1])


@pytest.mark.parametrize(
    "operator",
    [
        lambda of, points, size, k, stride: of.knn_distance(points, k),
        lambda of, points, size, k, stride: of.cross_label(points, size),
        lambda of, points, size, k, stride: of.neighbour_distance_map(
            points, size, k=k, stride=stride
        ),
        lambda of, points, size, k, stride: of.attention_map(points, size, k=k, stride=stride),
    ],
    ids=["knn_distance", "cross_label", "neighbour_distance_map", "attention_map"],
)
@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    k=st.integers(1, 30),
    stride=st.integers(1, 50),
    dtype=DTYPES,
    seed=st.integers(0, 999),
)
def test_points(
    operator: Callable[..., Any],
    counts: list[int],
    size: tuple[int, int],
    k: int,
    stride: int,
    dtype: torch.dtype,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sides = torch.tensor([size[1], size[0]])
    units = [torch.rand(count, 2, generator=generator, dtype=dtype) for count in counts]
    # Halves and repeated places among them, some outside the picture.
    points = [((unit * 1.4 - 0.2) * sides * 2).round() / 2 for unit in units]
    got = operator(ops, points, size, k, stride)
    torch.testing.assert_close(got, operator(reference, points, size, k, stride))
