"""neighbour_distance_map and attention_map against every pixel-point pair."""

from __future__ import annotations

import math

import pytest
import torch

from fastcount.ops import attention_map, neighbour_distance_map, reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
EXACT = {torch.float64: 1e-12, torch.float32: 1e-6}


def scattered(count: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return (unit * torch.tensor([70.0, 60.0]) - 5).to(dtype)  # some are outside 50 x 61


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("count", [1, 2, 9, 150])
@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 4), (20, 7), (3, 200)])
def test_equals_all_pairs(device: str, dtype: torch.dtype, count: int, k: int, stride: int) -> None:
    points = scattered(count, seed=count + k, dtype=dtype).to(device)
    got = neighbour_distance_map(points, (50, 61), k=k, stride=stride)
    assert got.dtype == dtype
    assert got.shape == (1, 1, math.ceil(50 / stride), math.ceil(61 / stride))
    expected = reference.neighbour_distance_map(points, (50, 61), k=k, stride=stride)
    torch.testing.assert_close(got, expected, rtol=EXACT[dtype], atol=1e-12)
    torch.testing.assert_close(
        attention_map(points, (50, 61), k=k, sigma=9.0, stride=stride),
        reference.attention_map(points, (50, 61), k=k, sigma=9.0, stride=stride),
        rtol=10 * EXACT[dtype],
        atol=1e-12,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("places", [1, 7, 2500])
@pytest.mark.parametrize("k", [2, 4, 5, 16, 17, 33, 300])
def test_many_points_and_many_at_one_place(device: str, places: int, k: int) -> None:
    points = scattered(places, seed=k).repeat(math.ceil(2500 / places), 1).to(device)
    torch.testing.assert_close(
        neighbour_distance_map(points, (37, 35), k=k, stride=3),
        reference.neighbour_distance_map(points, (37, 35), k=k, stride=3),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 40])
def test_a_crowd_beside_a_few(device: str, k: int) -> None:
    """Regions with a short list of near points, with one too long to keep, and on their border."""
    crowd = 40.0 + 9.0 * scattered(2000, seed=1) / 70.0
    points = torch.cat([crowd, 3.0 * scattered(60, seed=2)]).to(device)
    torch.testing.assert_close(
        neighbour_distance_map(points, (100, 170), k=k),
        reference.neighbour_distance_map(points, (100, 170), k=k),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("rows", "columns"), [(8, 16), (16, 16), (32, 32)])
def test_the_farthest_point_that_is_nearest_to_a_corner(
    rows: int, columns: int, device: str
) -> None:
    """Tiles take the points that their middle's nearest leaves in question, and these just so."""
    middle = torch.tensor([columns - 1, rows - 1], dtype=torch.float64) / 2
    reach = float(middle.norm())
    away = math.sqrt(66 - 1e-4)  # 66 = 64 * (1 + 1/32): a bound of five binary digits is exact
    points = [
        middle * (1 - away / reach),
        middle * (2 + (away + 0.98 * reach) / reach),  # from the corner 2 % nearer
    ]
    drawn = neighbour_distance_map(torch.stack(points).to(device), (64, 64), k=1)
    expected = reference.neighbour_distance_map(torch.stack(points).to(device), (64, 64), k=1)
    torch.testing.assert_close(drawn, expected, rtol=1e-12, atol=1e-12)
    corner = float(drawn[0, 0, rows - 1, columns - 1])
    assert corner == pytest.approx(away + 0.98 * reach)


@pytest.mark.parametrize("device", DEVICES)
def test_more_pictures_than_a_launch_takes(device: str) -> None:
    columns = torch.arange(300) % 7
    points = torch.stack([columns, columns % 2], 1).double().to(device)
    drawn = neighbour_distance_map(list(points[:, None]), (2, 7))
    alone = torch.cat([neighbour_distance_map(each[None], (2, 7)) for each in points[:7]])
    assert torch.equal(drawn, alone[columns])


@pytest.mark.parametrize("device", DEVICES)
def test_by_hand(device: str) -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [2.0, 9.0]], device=device)
    distance = neighbour_distance_map(points, (1, 5), k=3)  # the third is outside
    assert distance.tolist() == [[[[1.5, 1.5, 1.5, 1.5, 2.5]]]]
    attention = attention_map(points, (1, 5), k=1, sigma=2.0)
    expected = [1.0, math.exp(-1 / 8), math.exp(-1 / 8), 1.0, math.exp(-1 / 8)]
    torch.testing.assert_close(attention.flatten().cpu(), torch.tensor(expected))


@pytest.mark.parametrize("device", DEVICES)
def test_no_points(device: str) -> None:
    sets = [torch.zeros(0, 2, device=device), torch.full((3, 2), -9.0, device=device)]
    assert torch.isinf(neighbour_distance_map(sets, (4, 5))).all()
    assert not attention_map(sets, (4, 5)).any()
    assert neighbour_distance_map([], (4, 5)).shape == (0, 1, 4, 5)


@pytest.mark.parametrize("device", DEVICES)
def test_batch_layout_and_threads(device: str) -> None:
    sets = [scattered(n, seed=n).to(device) for n in (40, 0, 3)]
    together = neighbour_distance_map(sets, (300, 90))
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            for i, points in enumerate(sets):
                alone = neighbour_distance_map(points.T.contiguous().T, (300, 90))
                assert torch.equal(together[i : i + 1], alone)
    finally:
        torch.set_num_threads(threads)


def test_wrong_arguments() -> None:
    points = scattered(3, seed=0)
    with pytest.raises(ValueError, match="k must be at least 1"):
        neighbour_distance_map(points, (4, 4), k=0)
    with pytest.raises(ValueError, match="stride must be at least 1"):
        neighbour_distance_map(points, (4, 4), stride=0)
    with pytest.raises(ValueError, match="sigma must be positive"):
        attention_map(points, (4, 4), sigma=-1.0)
    with pytest.raises(ValueError, match="not finite"):
        neighbour_distance_map(points / 0.0, (4, 4))


def test_gradient_is_refused() -> None:
    points = scattered(3, seed=0).requires_grad_()
    with pytest.raises(RuntimeError, match="no gradient"):
        attention_map(points, (4, 4)).sum().backward()


def test_opcheck_and_compile() -> None:
    torch.library.opcheck(
        torch.ops.fastcount.neighbour_distance_map.default,
        (scattered(9, seed=1), [4, 0, 5], 7, 9, 2, 2, torch.float32),
    )
    compiled = torch.compile(attention_map, fullgraph=True, backend="aot_eager", dynamic=True)
    for count in (6, 11):
        points = scattered(count, seed=count)
        assert torch.equal(compiled(points, (20, 30)), attention_map(points, (20, 30)))


def test_reference_of_no_sets() -> None:
    assert reference.neighbour_distance_map([], (20, 21), stride=4).shape == (0, 1, 5, 6)
    assert reference.attention_map([], (20, 21)).shape == (0, 1, 20, 21)
