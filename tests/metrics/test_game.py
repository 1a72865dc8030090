from __future__ import annotations

import pytest
import torch

from fastcount.metrics import GAME
from fastcount.metrics.functional import game, grid_counts_of_density, grid_counts_of_points

SIZE = (40, 64)


def some_points(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator) * torch.tensor([64.0, 40.0]) - 0.5


def test_points_by_hand() -> None:
    points = torch.tensor([[0.0, 0], [31.4, 0], [31.6, 0], [63, 39], [10, 25], [11, 25]])
    assert grid_counts_of_points(points, SIZE, 1).tolist() == [[2, 1], [2, 1]]
    assert grid_counts_of_points(points, SIZE, 0).tolist() == [[6]]


def test_points_outside_count_in_the_nearest_cell() -> None:
    points = torch.tensor([[4000.0, 5], [-90, 39], [10, -70]])
    assert grid_counts_of_points(points, SIZE, 1).tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize("level", range(5))
@pytest.mark.parametrize(("stride", "shape"), [(8, (5, 8)), (7, (6, 10)), (None, (3, 5))])
def test_density_keeps_its_mass(level: int, stride: float | None, shape: tuple[int, int]) -> None:
    density = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    cells = grid_counts_of_density(density, SIZE, level, stride=stride)
    assert cells.shape == (2**level, 2**level)
    assert float(cells.sum()) == pytest.approx(float(density.sum()), rel=1e-6)


def test_density_is_divided_by_area() -> None:
    density = torch.tensor([[1.0, 3.0, 2.0]])  # columns 0-23, 24-47, 48-63 of 64; halves at 32
    cells = grid_counts_of_density(density, (24, 64), 1, stride=24)
    left = 1 + 3 * 8 / 24
    assert cells.tolist() == [pytest.approx([left / 2, (6 - left) / 2])] * 2


def test_density_at_pixels_is_the_same_as_points() -> None:
    points = some_points(50, 1).round().clamp(min=0)
    points[:, 0].clamp_(max=63)
    points[:, 1].clamp_(max=39)
    density = torch.zeros(SIZE)
    for x, y in points.long().tolist():
        density[y, x] += 1
    for level in range(4):
        torch.testing.assert_close(
            grid_counts_of_density(density, SIZE, level, stride=1),
            grid_counts_of_points(points, SIZE, level),
        )


def test_game_0_is_mae_and_game_never_falls() -> None:
    found, true = [some_points(30, 1), some_points(0, 2)], [some_points(34, 3), some_points(5, 4)]
    values = [float(game(found, true, [SIZE, SIZE], level)) for level in range(5)]
    assert values[0] == (4 + 5) / 2
    assert values == sorted(values)
    assert values[4] > values[0]


@pytest.mark.parametrize("level", [0, 2])
def test_class_is_the_function_and_merges(level: int) -> None:
    found, true = [some_points(30, 1), some_points(9, 2)], [some_points(34, 3), some_points(5, 4)]
    first, second = GAME(level), GAME(level)
    first.update(true[0], SIZE, points=found[0])
    second.update(true[1], SIZE, points=found[1])
    first.merge_state(second)
    assert float(first.compute()) == float(game(found, true, [SIZE, SIZE], level))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_empty() -> None:
    metric = GAME(3)
    assert float(metric.compute()) == 0
    metric.update(torch.zeros(0, 2), SIZE, density=torch.zeros(5, 8), stride=8)
    assert float(metric.compute()) == 0
    metric.update(torch.zeros(4, 2), SIZE, points=torch.zeros(0, 2))
    assert float(metric.compute()) == 2


@pytest.mark.parametrize("side", [100, 97, 448])
def test_cells_of_a_picture_that_was_scaled(side: int) -> None:
    """A stride of 32 cells after a scaling, which is no exact number."""
    stride = 32 / (448 / side)
    density = torch.rand(14, 14)
    counts = grid_counts_of_density(density, (side, side), 1, stride=stride)
    assert float(counts.sum()) == pytest.approx(float(density.sum()), rel=1e-6)


def test_wrong_input() -> None:
    points = some_points(2, 0)
    with pytest.raises(ValueError, match="one of the two"):
        GAME(1).update(points, SIZE)
    with pytest.raises(ValueError, match="one of the two"):
        GAME(1).update(points, SIZE, points=points, density=torch.zeros(5, 8))
    with pytest.raises(ValueError, match="40 pixels at stride 8 make 5"):
        GAME(1).update(points, SIZE, density=torch.zeros(6, 8), stride=8)
    with pytest.raises(ValueError, match=r"floating-point \(h, w\), not \(5,\)"):
        GAME(1).update(points, SIZE, density=torch.zeros(5), stride=8)
    with pytest.raises(ValueError, match="level"):
        GAME(-1)
    with pytest.raises(ValueError, match="not finite"):
        GAME(1).update(points * torch.inf, SIZE, points=points)
