"""What no picture holds: a million points in one place, pixels beyond 32 bits, NaN coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fastcount import ops

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
SIZE = (20, 24)
LONGEST = 2**31 - 1
MILLION = 1_000_000

#: Operators on points that draw a map: call(points, size, **options).
DRAWN: dict[str, Callable[..., Tensor]] = {
    "density_map": ops.density_map,
    "density_pyramid": lambda points, size, **options: ops.density_pyramid(
        points, size, strides=(1,), **options
    )[0],
    "gaussian_heatmap": lambda points, size, **options: ops.gaussian_heatmap(
        points, size, 2.0, **options
    ),
    "cross_label": ops.cross_label,
    "neighbour_distance_map": ops.neighbour_distance_map,
    "attention_map": ops.attention_map,
}
MEASURED: dict[str, Callable[..., Any]] = {
    "knn_distance": lambda points, size: ops.knn_distance(points, 3),
    "adaptive_sigma": lambda points, size: ops.adaptive_sigma(points),
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", [*DRAWN, *MEASURED])
def test_points_that_are_not_finite_are_refused(name: str, value: float) -> None:
    points = torch.tensor([[3.0, 4.0], [5.0, value]])
    with pytest.raises(ValueError, match="points"):
        (DRAWN | MEASURED)[name](points, SIZE)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["gaussian_heatmap", "cross_label", "neighbour_distance_map"])
def test_a_million_points_in_one_place_look_like_one(name: str, device: str) -> None:
    one = torch.tensor([[7.25, 9.5]], device=device)
    drawn = DRAWN[name](one.expand(MILLION, 2), SIZE)
    torch.testing.assert_close(drawn, DRAWN[name](one, SIZE))


@pytest.mark.parametrize("device", DEVICES)
def test_a_million_points_in_one_place_are_a_million(device: str) -> None:
    points = torch.tensor([[7.25, 9.5]], device=device).expand(MILLION, 2)
    for level in ops.density_pyramid(points, SIZE, sigma=1.0, strides=(1, 4, 8)):
        assert float(level.double().sum()) == pytest.approx(MILLION, rel=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MEASURED)
def test_a_million_points_in_one_place_are_not_apart(name: str, device: str) -> None:
    points = torch.tensor([[7.25, 9.5]], device=device).expand(MILLION, 2)
    assert not MEASURED[name](points, SIZE).any()


@pytest.mark.parametrize("name", DRAWN)
def test_a_map_beyond_all_memory_is_an_error(name: str) -> None:
    # torch 2.11 names only the call that failed
    with pytest.raises(RuntimeError, match=r"(?i)memory|alloc|overflow|new_(empty|zeros)"):
        DRAWN[name](torch.zeros(1, 2), (LONGEST, LONGEST))
    with pytest.raises(ValueError, match="size"):
        DRAWN[name](torch.zeros(1, 2), (LONGEST + 1, 5))


@pytest.mark.parametrize("name", ["density_map", "gaussian_heatmap", "neighbour_distance_map"])
def test_a_picture_beyond_32_bits_fits_coarse_cells(name: str) -> None:
    point = torch.tensor([[2.0**30, 2.0**30]], dtype=torch.float64)
    drawn = DRAWN[name](point, (LONGEST, LONGEST), stride=2**28)
    assert drawn.shape == (1, 1, 8, 8)
    assert bool(torch.isfinite(drawn).all())
    extreme = drawn.argmin() if name == "neighbour_distance_map" else drawn.argmax()
    assert divmod(int(extreme), 8) in {(3, 3), (3, 4), (4, 3), (4, 4)}


@pytest.mark.parametrize(
    "work",
    [
        lambda maps: ops.find_peaks(maps),
        lambda maps: ops.find_peaks_padded(maps, max_peaks=3),
        lambda maps: ops.peak_map(maps),
    ],
    ids=["find_peaks", "find_peaks_padded", "peak_map"],
)
@pytest.mark.parametrize("device", DEVICES)
def test_a_map_of_more_pixels_than_an_index_holds_is_refused(
    work: Callable[[Tensor], object], device: str
) -> None:
    maps = torch.zeros(1, 1, 1, 1, device=device).expand(1, 1, 2**16, 2**15)  # takes no memory
    with pytest.raises(RuntimeError, match=r"fewer than 2\^31 pixels"):
        work(maps)
