"""Density maps: the count is kept, the shape is the definition's, the bits are always the same."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from density_points import SIZE, random_points
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcount import ops
from fastcount.ops import reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]


def number_inside(points: torch.Tensor, size: tuple[int, int]) -> int:
    x, y = points.double().unbind(1)
    return int(((x >= -0.5) & (x < size[1] - 0.5) & (y >= -0.5) & (y < size[0] - 0.5)).sum())


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    count=st.integers(0, 30),
    sigma=st.floats(1e-6, 1e4),
    truncate=st.floats(0.1, 8.0),
    stride=st.integers(1, 70),
    seed=st.integers(0, 2**31),
    double=st.booleans(),
)
def test_every_point_inside_adds_one(
    size: tuple[int, int],
    count: int,
    sigma: float,
    truncate: float,
    stride: int,
    seed: int,
    double: bool,
) -> None:
    points = random_points(count, size, seed)
    dtype = torch.float64 if double else torch.float32
    drawn = ops.density_map(
        points, size, sigma=sigma, truncate=truncate, stride=stride, dtype=dtype
    )
    expected = number_inside(points, size)
    assert drawn.shape == (1, 1, -(-size[0] // stride), -(-size[1] // stride))
    assert drawn.dtype == dtype
    assert bool((drawn >= 0).all())
    assert float(drawn.double().sum()) == pytest.approx(expected, rel=1e-12 if double else 1e-5)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0, 15.0])
@pytest.mark.parametrize("truncate", [3.0, 4.0])
def test_clip_equals_scipy_at_whole_pixels(sigma: float, truncate: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    points = random_points(40, SIZE).round()
    delta = np.zeros(SIZE)
    for x, y in points.long().tolist():
        if 0 <= x < SIZE[1] and 0 <= y < SIZE[0]:
            delta[y, x] += 1
    expected = ndimage.gaussian_filter(delta, sigma, mode="constant", truncate=truncate)
    drawn = ops.density_map(
        points, SIZE, sigma=sigma, truncate=truncate, border="clip", dtype=torch.float64
    )
    np.testing.assert_allclose(drawn[0, 0].numpy(), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("border", ["renormalize", "clip"])
@pytest.mark.parametrize("stride", [1, 2, 3, 8, 49, 60])  # 49 * (1 / 49) is less than 1
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_reference(border: str, stride: int, dtype: torch.dtype, device: str) -> None:
    points = [
        random_points(count, SIZE, seed).to(device) for count, seed in ((25, 1), (0, 0), (7, 2))
    ]
    sigma = [torch.linspace(0.1, 12.0, 25, device=device), 3.0, torch.tensor(2.5, device=device)]
    arguments = {"sigma": sigma, "stride": stride, "border": border}
    drawn = ops.density_map(points, SIZE, dtype=dtype, **arguments)
    expected = reference.density_map(points, SIZE, dtype=torch.float64, **arguments)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(drawn.double(), expected, rtol=tolerance, atol=tolerance * 1e-2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(270, 259), (256, 320)])
def test_a_crowd_on_a_larger_map(size: tuple[int, int], device: str) -> None:
    points = [random_points(3000, size).to(device), random_points(3, size, 1).to(device)]
    drawn = ops.density_map(points, size, sigma=2.0)
    expected = reference.density_map(points, size, sigma=2.0, dtype=torch.float64)
    torch.testing.assert_close(drawn.double(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.skipif("not torch.cuda.is_available()")
def test_a_map_is_the_same_in_a_large_batch_cuda() -> None:
    size = (500, 2048)
    points = [random_points(1500 if i % 2 else 40, size, i).cuda() for i in range(24)]
    drawn = ops.density_map(points, size, sigma=5.0)
    for picture in (0, 1, 23):
        alone = ops.density_map(points[picture], size, sigma=5.0)
        assert torch.equal(drawn[picture], alone[0])
    expected = reference.density_map(points[1], size, sigma=5.0, dtype=torch.float64)
    torch.testing.assert_close(drawn[1:2].double(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("truncate", "sigmas"),
    [(3.0, [1e-3, 0.2, 1.0, 1.0, 6.2, 40.0, 82.6, 82.9, 300.0]), (30.0, [1e-3, 0.5, 1.0, 2.0])],
)
@pytest.mark.parametrize("strides", [(1,), (4, 12), (6,), (16, 32)])
def test_widths_of_all_sizes_beside_each_other(
    strides: tuple[int, ...], truncate: float, sigmas: list[float]
) -> None:
    """Kernels that share a table of exponentials, and those too wide or too sharp for one."""
    size = (90, 1300)
    points = random_points(4 * len(sigmas), size, seed=4)
    widths = torch.tensor(sigmas, dtype=torch.float64).repeat(4)
    options = {"sigma": widths, "strides": strides, "truncate": truncate, "dtype": torch.float64}
    drawn = ops.density_pyramid(points, size, **options)
    expected = reference.density_pyramid(points, size, **options)
    for one, other in zip(drawn, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_stride_is_the_stride_1_map_added_up() -> None:
    points = random_points(60, SIZE)
    full = ops.density_map(points, SIZE, sigma=3.0, dtype=torch.float64)[0, 0]
    pooled = ops.density_map(points, SIZE, sigma=3.0, stride=8, dtype=torch.float64)[0, 0]
    for u, v in [(0, 0), (2, 3), (pooled.shape[0] - 1, pooled.shape[1] - 1)]:
        cell = full[8 * u : 8 * u + 8, 8 * v : 8 * v + 8].sum()
        torch.testing.assert_close(pooled[u, v], cell)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("strides", [(8, 16, 32, 64, 128), (3, 1, 7, 6, 3), (5,), ()])
def test_pyramid_equals_its_maps(strides: tuple[int, ...], device: str) -> None:
    points = [random_points(300, SIZE, 3).to(device), random_points(5, SIZE, 4).to(device)]
    levels = ops.density_pyramid(points, SIZE, sigma=[4.0, 2.0], strides=strides)
    assert len(levels) == len(strides)
    for level, stride in zip(levels, strides, strict=True):
        alone = ops.density_map(points, SIZE, sigma=[4.0, 2.0], stride=stride)
        torch.testing.assert_close(level, alone, rtol=1e-6, atol=1e-9)


def test_subpixel_position_moves_the_centre_of_mass() -> None:
    drawn = ops.density_map(torch.tensor([[20.3, 15.8]]), SIZE, sigma=2.0, truncate=6.0)[0, 0]
    x = (drawn.sum(0) * torch.arange(SIZE[1])).sum()
    y = (drawn.sum(1) * torch.arange(SIZE[0])).sum()
    assert float(x) == pytest.approx(20.3, abs=1e-3)
    assert float(y) == pytest.approx(15.8, abs=1e-3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("point", "rows", "columns"),
    [((9.5, 20.5), range(19, 24), range(8, 13)), ((-0.5, 12.5), range(11, 16), range(3))],
)
def test_a_point_half_way_between_two_pixels_is_the_second_ones(
    point: tuple[float, float], rows: range, columns: range, device: str
) -> None:
    drawn = ops.density_map(torch.tensor([point], device=device), SIZE, sigma=1.0, truncate=2.0)
    assert drawn[0, 0].nonzero().tolist() == [[row, column] for row in rows for column in columns]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [1e-20, 1e-160, 5e-324])
def test_the_narrowest_kernels_hold_their_point(
    sigma: float, dtype: torch.dtype, device: str
) -> None:
    """1 / (2 sigma^2) is beyond what float32, or even float64, can hold."""
    points = torch.tensor([[5.2, 4.4], [2.5, 1.5]], dtype=torch.float64, device=device)
    drawn = ops.density_map(points, SIZE, sigma=sigma, dtype=dtype)[0, 0]
    assert drawn.nonzero().tolist() == [[2, 3], [4, 5]]
    assert drawn[2, 3] == drawn[4, 5] == 1.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_narrow_kernel_half_way_between_two_pixels(dtype: torch.dtype, device: str) -> None:
    """Its nearest pixels weigh exp(-312) each: they have no sum but relative to one another."""
    point = torch.tensor([[9.5, 20.0]], device=device)
    drawn = ops.density_map(point, SIZE, sigma=0.02, truncate=60.0, dtype=dtype)[0, 0]
    assert drawn.nonzero().tolist() == [[20, 9], [20, 10]]
    assert drawn[20, 9:11].tolist() == pytest.approx([0.5, 0.5], rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_the_edge_of_the_picture(device: str) -> None:
    height, width = SIZE
    inside = torch.tensor([[-0.5, -0.5], [width - 0.51, height - 0.51]], device=device)
    outside = [[-0.51, 3.0], [3.0, -0.51], [width - 0.5, 3.0], [3.0, height - 0.5]]
    assert float(ops.density_map(inside, SIZE).sum()) == pytest.approx(2.0, rel=1e-6)
    drawn = ops.density_map(torch.tensor(outside, device=device), SIZE)
    assert float(drawn.abs().max()) == 0.0
    almost = torch.tensor([[0.49999999999999994, 0.0]], dtype=torch.float64, device=device)
    assert float(ops.density_map(almost, (1, 1)).sum()) == 1.0


@pytest.mark.parametrize(
    ("size", "strides", "dtype"),
    [((200, 300), (1, 4, 8), torch.float32), ((900, 1000), (1, 16), torch.float64)],
)
def test_threads_do_not_change_a_bit(
    size: tuple[int, int], strides: tuple[int, ...], dtype: torch.dtype
) -> None:
    points = [random_points(3000, size), random_points(100, size, 1)]
    sigma = [torch.linspace(0.5, 20.0, 3000), 3.0]
    options = {"sigma": sigma, "strides": strides, "dtype": dtype}
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(ops.density_pyramid(points, size, **options))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)


def test_a_heap_of_equal_points_keeps_its_count() -> None:
    points = torch.tensor([[7.25, 9.5]]).expand(1_000_000, 2)
    drawn = ops.density_map(points, (20, 20), sigma=1.0)
    assert float(drawn.double().sum()) == pytest.approx(1e6, rel=1e-6)
    one = ops.density_map(points[:1], (20, 20), sigma=1.0, dtype=torch.float64)
    torch.testing.assert_close(drawn.double(), one * 1e6, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_points_than_are_drawn_at_once(dtype: torch.dtype, stride: int) -> None:
    counts = (9000, 0, 9000, 300)
    points = [random_points(count, (20, 24), seed) for seed, count in enumerate(counts)]
    sigma = [torch.linspace(0.5, 6.0, count, dtype=torch.float64) for count in counts]
    drawn = ops.density_map(points, (20, 24), sigma=sigma, stride=stride, dtype=dtype)
    for together, one, widths in zip(drawn, points, sigma, strict=True):
        alone = ops.density_map(one, (20, 24), sigma=widths, stride=stride, dtype=torch.float64)
        # A sum in float32 would be off by more, as so many points overlap.
        torch.testing.assert_close(together.double(), alone[0], rtol=2e-7, atol=0.0)


@pytest.mark.parametrize("device", DEVICES)
def test_more_pictures_than_a_launch_takes(device: str) -> None:
    columns = torch.arange(300) % 7
    points = torch.stack([columns, columns % 2], 1).float().to(device)
    drawn = ops.density_map(list(points[:, None]), (2, 7), sigma=1.0)
    alone = torch.cat([ops.density_map(each[None], (2, 7), sigma=1.0) for each in points[:7]])
    assert torch.equal(drawn, alone[columns])


@pytest.mark.parametrize("device", DEVICES)
def test_a_crowded_strip_among_many_pictures(device: str) -> None:
    """So many pictures that a block draws two tiles of three, of more points than it lists."""
    size = (256, 384)
    crowd = torch.cat([random_points(3000, (32, 384)), random_points(50, size, 1)]).to(device)
    drawn = ops.density_map([crowd] + [crowd[:0]] * 89, size, sigma=2.0)
    assert torch.equal(drawn[:1], ops.density_map(crowd, size, sigma=2.0))
    assert not drawn[1:].any()


def test_kernels_larger_than_the_picture() -> None:
    points = random_points(5, SIZE)
    for sigma in (1e3, 1e9, 1e30):
        drawn = ops.density_map(points, SIZE, sigma=sigma, dtype=torch.float64)
        assert float(drawn.sum()) == pytest.approx(number_inside(points, SIZE), rel=1e-12)


@pytest.mark.parametrize(
    ("sigma", "truncate"), [(20.0, 300.0), (900.0, 4.0), (2000.0, 3.0), (2000.0, 1.9)]
)
def test_clip_divides_by_the_whole_window(sigma: float, truncate: float) -> None:
    point = torch.tensor([[20.3, 15.8]], dtype=torch.float64)
    wide = ops.density_map(
        point, SIZE, sigma=sigma, truncate=truncate, border="clip", dtype=torch.float64
    )[0, 0]
    radius = int(truncate * sigma + 0.5)

    def axis(position: float, centre: int, size: int) -> torch.Tensor:
        pixels = torch.arange(centre - radius, centre + radius + 1, dtype=torch.float64)
        weights = torch.exp(-((pixels - position) ** 2) / (2 * sigma**2))
        return (weights / weights.sum())[radius - centre : radius - centre + size]

    expected = axis(15.8, 16, SIZE[0])[:, None] * axis(20.3, 20, SIZE[1])[None, :]
    torch.testing.assert_close(wide, expected, rtol=1e-11, atol=0.0)


@pytest.mark.parametrize("device", DEVICES)
def test_the_largest_sides_at_a_coarse_stride(device: str) -> None:
    side = 2**31 - 1
    point = torch.tensor([[1e9, 2e9]], device=device)
    coarse = ops.density_map(point, (side, side), stride=2**28)
    assert coarse.shape == (1, 1, 8, 8)
    assert float(coarse.sum()) == pytest.approx(1.0, rel=1e-5)
    assert float(coarse[0, 0, 7, 3]) == pytest.approx(1.0, rel=1e-5)


def test_a_crowd_takes_well_under_a_second() -> None:
    size = (2013, 2902)
    points = random_points(12865, size)
    sigma = torch.linspace(1.0, 20.0, 12865)
    start = time.process_time()
    drawn = ops.density_map(points, size, sigma=sigma)
    assert time.process_time() - start < 1.0  # seconds of all threads together
    assert float(drawn.double().sum()) == pytest.approx(number_inside(points, size), rel=1e-5)
