from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fastcount.metrics import PckAP

NONE = torch.zeros(0, 2)


def points(*values: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def result(metric: PckAP) -> tuple[float, float]:
    values = metric.compute()
    return float(values["ap"]), float(values["recall"])


def test_a_hit_is_nearer_than_a_tenth_of_the_plant() -> None:
    true = points((0, 0), (100, 40))  # a box of 100 x 40: nearer than 10 pixels
    for distance, hit in ((9.999, 1.0), (10.0, 0.0)):
        metric = PckAP()
        metric.update(true + points((0, distance)), torch.ones(2), true)
        assert result(metric) == (hit, hit)
    wide = PckAP()
    wide.update(true + points((0, 10.0)), torch.ones(2), true, extent=101)
    assert result(wide) == (1.0, 1.0)
    wider = PckAP(alpha=0.2)
    wider.update(true + points((0, 19.0)), torch.ones(2), true)
    assert result(wider) == (1.0, 1.0)


def test_the_extent_is_the_longer_side_wherever_the_plant_stands() -> None:
    true = points((1000, 500), (1040, 600))
    for distance, hit in ((9.999, 1.0), (10.0, 0.0)):
        metric = PckAP()
        metric.update(true + points((distance, 0)), torch.ones(2), true)
        assert result(metric) == (hit, hit)
    alone = PckAP()  # no extent, so nothing is nearer
    alone.update(points((3, 3)), torch.ones(1), points((3, 3)))
    assert result(alone) == (0.0, 0.0)


def test_double_detections_and_misses_by_hand() -> None:
    true = points((0, 0), (100, 0), (0, 100))
    found = points((1, 0), (0, 1), (99, 0))
    metric = PckAP()
    metric.update(found, torch.tensor([0.9, 0.8, 0.7]), true)
    # ranks: hit, double, hit; precision 1 up to recall 1/3, then 2/3 up to 2/3
    ap, recall = result(metric)
    assert ap == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert recall == pytest.approx(2 / 3)


def test_ranks_run_over_all_pictures_and_merge() -> None:
    true = points((0, 0), (50, 50))
    pictures = [
        (true, torch.tensor([0.9, 0.6]), true),
        (points((0, 0), (200, 200)), torch.tensor([0.8, 0.1]), true),
    ]
    whole, first, second = PckAP(), PckAP(), PckAP()
    for picture in pictures:
        whole.update(*picture)
    first.update(*pictures[0])
    second.update(*pictures[1])
    first.merge_state(second)
    assert result(first) == result(whole)
    # three hits before the false one: precision 1 up to recall 3/4
    assert result(whole) == (pytest.approx(76 / 101), pytest.approx(3 / 4))


def test_exact_points_of_many_plants() -> None:
    rng = np.random.default_rng(0)
    metric = PckAP()
    for _ in range(5):
        true = torch.from_numpy(rng.uniform(0, 300, (12, 2)))
        metric.update(true, torch.rand(12), true)
    assert result(metric) == (pytest.approx(1.0), 1.0)


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [(NONE, NONE, 1.0), (NONE, points((1, 1)), 0.0), (points((1, 1)), NONE, 0.0)],
)
def test_empty_sets(found: torch.Tensor, true: torch.Tensor, expected: float) -> None:
    metric = PckAP()
    metric.update(found, torch.ones(len(found)), true, extent=50)
    assert result(metric) == (expected, expected)


def test_a_process_without_pictures_takes_part() -> None:
    seen, idle = PckAP(), PckAP()
    seen.update(points((0, 0)), torch.ones(1), points((0, 0)), extent=10)
    states = [*seen.scores, *seen.hits, seen.truths]

    def gather(state: torch.Tensor, group: object) -> list[torch.Tensor]:
        twin = next(one for one in states if one.ndim == state.ndim and one.dtype == state.dtype)
        return [state, twin]

    idle.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert float(idle.truths) == 1
    assert torch.as_tensor(idle.hits).shape == (1, 1)


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="alpha must be above 0"):
        PckAP(0.0)
    with pytest.raises(ValueError, match=r"scores must be \(2,\)"):
        PckAP().update(torch.zeros(2, 2), torch.zeros(3), NONE)
    with pytest.raises(ValueError, match="scores holds a value that is not finite"):
        PckAP().update(torch.zeros(1, 2), torch.tensor([math.nan]), NONE)
    with pytest.raises(ValueError, match="extent must be"):
        PckAP().update(NONE, torch.zeros(0), NONE, extent=math.inf)
    with pytest.raises(ValueError, match="extent must be"):
        PckAP().update(NONE, torch.zeros(0), NONE, extent=math.nan)
