"""RAZ-Net's regions, zoom and fusion, each against a plain rendering of the paper's words."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastcount.models.parts.grid_fusion import (
    estimate_theta,
    fuse,
    grid_counts,
    points_per_cell,
)
from fastcount.models.parts.region_proposals import propose_regions
from fastcount.models.parts.zooming import (
    Located,
    into_region,
    out_of_region,
    replace_inside,
    zoomed_batches,
)


def _iou(a: list[int], b: list[int]) -> float:
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _mean(attention: Tensor, box: list[int]) -> float:
    return float(attention[box[1] : box[3], box[0] : box[2]].double().mean())


def test_regions_keep_the_papers_rules() -> None:
    generator = torch.Generator().manual_seed(3)
    attention = torch.rand(90, 120, generator=generator).square() * 0.02
    attention[20:50, 60:110] += 0.5
    attention[70:85, 5:30] += 0.3
    boxes = propose_regions(attention).tolist()
    assert 1 < len(boxes) <= 10
    means = [_mean(attention, box) for box in boxes]
    assert means == sorted(means, reverse=True)
    assert means[-1] >= 0.01
    for i, a in enumerate(boxes):
        assert 0 <= a[0] < a[2] <= 120
        assert 0 <= a[1] < a[3] <= 90
        assert all(_iou(a, b) <= 0.5 for b in boxes[:i])
    assert propose_regions(attention).tolist() == boxes
    assert len(propose_regions(attention, limit=2)) == 2
    everywhere = propose_regions(attention, limit=99).tolist()
    assert everywhere[: len(boxes)] == boxes
    assert any(box[2] <= 60 for box in everywhere)  # the lesser crowd has its regions, too


def test_anchors_have_six_shapes() -> None:
    attention = torch.zeros(90, 120)
    attention[45, 60] = 1.0  # every interest point is this pixel, no anchor is cut off
    boxes = propose_regions(attention, threshold=0.0, overlap=0.99, limit=99).tolist()
    shapes = {(y2 - y1, x2 - x1) for x1, y1, x2, y2 in boxes}
    root = math.sqrt(2)
    wanted = {
        (round(side * tall), round(side / tall))
        for side in (30, 60)
        for tall in (1.0, 1 / root, root)
    }
    assert shapes == wanted
    for x1, y1, x2, y2 in boxes:
        assert abs((x1 + x2) / 2 - 60.5) <= 0.5
        assert abs((y1 + y2) / 2 - 45.5) <= 0.5


@pytest.mark.parametrize("value", [0.0, 0.009])
def test_calm_pictures_have_no_regions(value: float) -> None:
    assert propose_regions(torch.full((40, 50), value)).shape == (0, 4)


def test_anchors_are_cut_off_at_the_border() -> None:
    attention = torch.zeros(90, 120)
    attention[0, 0] = 1.0
    boxes = propose_regions(attention, threshold=0.0, overlap=0.99, limit=99).tolist()
    assert {(x1, y1) for x1, y1, _, _ in boxes} == {(0, 0)}
    attention = torch.zeros(90, 120)
    attention[89, 119] = 1.0
    boxes = propose_regions(attention, threshold=0.0, overlap=0.99, limit=99).tolist()
    assert {(x2, y2) for _, _, x2, y2 in boxes} == {(120, 90)}


def test_interest_points_follow_the_attention() -> None:
    attention = torch.full((60, 60), 1e-6)
    attention[:, 40:] = 0.4
    for x1, _, x2, _ in propose_regions(attention).tolist():
        assert (x1 + x2) / 2 >= 25  # centred on a crowded pixel, but for what the border cut off


def test_maps_only() -> None:
    with pytest.raises(ValueError, match=r"one map \(H, W\), got \(1, 4, 4\)"):
        propose_regions(torch.zeros(1, 4, 4))


def test_a_point_stays_on_its_pixel_when_zoomed() -> None:
    """A bilinear ramp is itself a coordinate: the enlarged picture shows where each pixel went."""
    x = torch.arange(20.0).expand(16, 20)
    y = torch.arange(16.0)[:, None].expand(16, 20)
    image = torch.stack([x, y, x])
    regions = torch.tensor([[3, 2, 13, 12], [0, 0, 10, 10], [5, 4, 19, 10]])
    seen = []
    for numbers, large in zoomed_batches(image, regions):
        for number, one in zip(numbers, large, strict=True):
            seen.append(number)
            x1, y1, x2, y2 = regions[number].tolist()
            assert one.shape == (3, 2 * (y2 - y1), 2 * (x2 - x1))
            inside = torch.tensor([[7.0, 5.0], [x1 + 2.0, y1 + 3.0]])
            there = into_region(inside, regions[number])
            torch.testing.assert_close(out_of_region(there, regions[number]), inside)
            for point, place in zip(inside, there, strict=True):
                u, v = int(place[0]), int(place[1])  # the mean of pixels on both sides
                values = one[:2, v : v + 2, u : u + 2].mean(dim=(1, 2))
                torch.testing.assert_close(values, point)
    assert sorted(seen) == [0, 1, 2]


def test_regions_of_one_size_share_a_batch() -> None:
    regions = torch.tensor([[0, 0, 10, 10], [1, 1, 9, 12], [5, 5, 15, 15]])
    sizes = {tuple(n): tuple(b.shape) for n, b in zoomed_batches(torch.rand(3, 20, 20), regions)}
    assert sizes == {(0, 2): (2, 3, 20, 20), (1,): (1, 3, 22, 16)}


def _located(*points: tuple[float, float]) -> Located:
    scores = torch.arange(len(points), dtype=torch.float32)
    return Located(torch.tensor(points).reshape(-1, 2), scores)


def test_points_inside_regions_are_replaced_once() -> None:
    main = _located((1, 1), (5, 5), (12, 5), (9.6, 5))
    regions = torch.tensor([[0, 0, 10, 10], [4, 4, 16, 16]])
    first = _located((5.2, 5.1), (2.0, 2.0))
    second = _located((12.3, 5), (5.4, 5.4), (15.4, 15.4), (15.6, 7))
    merged = replace_inside(main, regions, [first, second])
    # (9.6, 5) lies in pixel 10, which the second region owns; its (5.4, 5.4) lies in the first.
    expected = {(5.2, 5.1), (2.0, 2.0), (12.3, 5.0), (15.4, 15.4)}
    assert {(round(x, 4), round(y, 4)) for x, y in merged.points.tolist()} == expected
    assert len(merged.scores) == 4
    alone = replace_inside(main, torch.zeros(0, 4, dtype=torch.int64), [])
    assert torch.equal(alone.points, main.points)
    emptied = replace_inside(main, regions, [_located(), _located()])
    assert emptied.points.shape == (0, 2)


def test_points_are_counted_in_their_cells() -> None:
    points = [torch.tensor([[0.0, 0.0], [7.4, 0.0], [7.6, 0.0], [99.0, -3.0]]), torch.zeros(0, 2)]
    maps = points_per_cell(points, (2, 3), 8)
    assert maps.shape == (2, 1, 2, 3)
    assert maps[0, 0].tolist() == [[2, 1, 1], [0, 0, 0]]
    assert maps[1].sum() == 0


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (5, 4), (3, 2), (1, 1)])
def test_fusion_is_equation_4(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(7)
    density = torch.rand(3, 1, *size, generator=generator)
    located = torch.randint(0, 3, (3, 1, *size), generator=generator).float()
    theta = torch.rand(4, 4, generator=generator) * density[0].sum() / 6
    fused = fuse(density, located, theta)
    assert fused.shape == density.shape
    alone = 0
    for b in range(3):
        total = 0.0
        for row in range(4):
            for column in range(4):
                here = [
                    (v, u)
                    for v in range(size[0])
                    for u in range(size[1])
                    if int((v + 0.5) * 4 / size[0]) == row
                    and int((u + 0.5) * 4 / size[1]) == column
                ]
                den = sum(float(density[b, 0, v, u]) for v, u in here)
                loc = sum(float(located[b, 0, v, u]) for v, u in here)
                assert float(grid_counts(density)[b, row, column]) == pytest.approx(den, rel=1e-5)
                dense = (den + loc) / 2 >= float(theta[row, column])
                alone += dense
                total += den if dense else (den + loc) / 2
        assert float(fused[b].sum()) == pytest.approx(total, rel=1e-5)
    assert 0 < alone < 48 or size == (1, 1)
    average = fuse(density, located, torch.full((4, 4), torch.inf))
    torch.testing.assert_close(average, (density + located) / 2)
    torch.testing.assert_close(fuse(density, located, -average.new_ones(4, 4)), density)


def _error(theta: float, den: list[float], loc: list[float], truth: list[float]) -> float:
    return sum(
        abs((d if (d + p) / 2 >= theta else (d + p) / 2) - t)
        for d, p, t in zip(den, loc, truth, strict=True)
    )


def test_theta_is_the_best_there_is() -> None:
    generator = torch.Generator().manual_seed(11)
    truth = torch.randint(0, 30, (9, 4, 4), generator=generator).double()
    den = truth + torch.randn(9, 4, 4, dtype=torch.float64, generator=generator)
    # points miss the more the denser it is
    loc = (truth - 0.02 * truth**2 + torch.rand(9, 4, 4, generator=generator)).round()
    theta = estimate_theta(den, loc, truth)
    finite = 0
    for row in range(4):
        for column in range(4):
            mine = [one[:, row, column].tolist() for one in (den, loc, truth)]
            middles = [(d + p) / 2 for d, p in zip(mine[0], mine[1], strict=True)]
            tried = [-math.inf, math.inf, *(m + e for m in middles for e in (-1e-6, 1e-6))]
            best = min(_error(one, *mine) for one in tried)
            ours = float(theta[row, column])
            finite += math.isfinite(ours)
            assert _error(ours, *mine) == pytest.approx(best, abs=1e-9)
    assert finite > 0


def test_theta_at_its_ends_and_ties() -> None:
    one = torch.ones(3, 4, 4)
    # equal means: no theta can part them
    assert (estimate_theta(10 * one, 20 * one, 15 * one) == torch.inf).all()
    assert (estimate_theta(10 * one, 20 * one, 10 * one) == -torch.inf).all()
    with pytest.raises(ValueError, match=r"need one shape \(N, 4, 4\)"):
        estimate_theta(one, one, one[:2])
    with pytest.raises(ValueError, match="N > 0"):
        estimate_theta(one[:0], one[:0], one[:0])
