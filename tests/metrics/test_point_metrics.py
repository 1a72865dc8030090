from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torchmetrics import Metric

from fastcount.metrics import LocalizationAP, PckAP, PointPR, functional
from fastcount.metrics.functional import average_precision, match_points, point_pr
from fastcount.metrics.functional.points import rank_hits

NONE = torch.zeros(0, 2)


def points(*values: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_matching_is_one_to_one_and_largest() -> None:
    # taking the nearest first would pair (1, 0) with (0, 0) and leave (-3, 0) alone
    found, true = points((1, 0), (-3, 0)), points((0, 0), (4, 0))
    assert match_points(found, true, 3.0).tolist() == [1, 0]
    assert sorted(match_points(points((0, 0), (0, 1)), points((0, 0)), 5).tolist()) == [-1, 0]


def test_matching_gives_scipy_the_indices_that_its_oldest_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []

    def matching(graph: csr_array, perm_type: str) -> np.ndarray:
        taken.extend([graph.indices.dtype, graph.indptr.dtype])
        return maximum_bipartite_matching(graph, perm_type=perm_type)

    monkeypatch.setattr(functional.points, "maximum_bipartite_matching", matching)
    assert match_points(points((0, 0), (9, 9)), points((0, 1)), 2).tolist() == [0, -1]
    assert taken == [np.int32, np.int32]


@pytest.mark.parametrize("seed", range(8))
def test_matching_against_an_assignment(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, true = rng.uniform(0, 60, (40, 2)), rng.uniform(0, 60, (30, 2))
    distance = np.linalg.norm(found[:, None] - true[None], axis=2)
    rows, columns = linear_sum_assignment(distance > 6)
    largest = int((distance[rows, columns] <= 6).sum())
    partner = match_points(torch.from_numpy(found), torch.from_numpy(true), 6).numpy()
    taken = np.flatnonzero(partner >= 0)
    assert len(taken) == largest
    assert len(set(partner[taken])) == largest
    assert (distance[taken, partner[taken]] <= 6).all()


def test_radius_is_inclusive() -> None:
    assert match_points(points((3, 4)), points((0, 0)), 5).tolist() == [0]
    assert match_points(points((3, 4)), points((0, 0)), 4.99).tolist() == [-1]


def test_point_pr_by_hand() -> None:
    result = point_pr(points((0, 0), (10, 0), (50, 50)), points((0, 3), (10, 9)), [4, 10])
    assert result["precision"].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert result["recall"].tolist() == [0.5, 1.0]
    assert result["f1"].tolist() == pytest.approx([0.4, 0.8])


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [(NONE, NONE, 1.0), (NONE, points((1, 1)), 0.0), (points((1, 1)), NONE, 0.0)],
)
def test_empty_sets(found: torch.Tensor, true: torch.Tensor, expected: float) -> None:
    for value in point_pr(found, true, [4]).values():
        assert value.tolist() == [expected]
    metric = LocalizationAP([5])
    metric.update(found, torch.ones(len(found)), true)
    assert {float(value) for value in metric.compute().values()} == {expected}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_seen() -> None:
    assert PointPR([4, 8]).compute()["f1"].tolist() == [1.0, 1.0]
    assert float(LocalizationAP([5]).compute()["ap_5"]) == 1.0


def test_point_pr_pools_pictures_and_merges() -> None:
    first, second = PointPR([2]), PointPR([2])
    first.update(points((0, 0)), points((0, 0), (9, 9)))
    second.update(points((5, 5), (20, 20)), points((5, 6)))
    first.merge_state(second)
    result = first.compute()
    assert float(result["precision"]) == pytest.approx(2 / 3)
    assert float(result["recall"]) == pytest.approx(2 / 3)


def test_average_precision_by_hand() -> None:
    # hits in rank order: 1 0 1; three to find: precision 1 up to 1/3, then 2/3 up to 2/3
    precision, recall = average_precision(
        torch.tensor([0.9, 0.5, 0.8]), torch.tensor([[1], [1], [0]]), 3
    )
    assert float(precision) == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)  # 0-.33, .34-.66
    assert float(recall) == pytest.approx(2 / 3)


def test_perfect_points_have_ap_one() -> None:
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.uniform(0, 500, (700, 2)))
    metric = LocalizationAP()
    metric.update(true, torch.rand(700), true)
    for name, value in metric.compute().items():
        assert float(value) == pytest.approx(1.0), name


def test_threshold_is_a_distance() -> None:
    at = 5 * math.sqrt(-2 * math.log(0.7))  # affinity .7 at sigma 5
    metric = LocalizationAP([5])
    metric.update(points((at * 0.999, 0)), torch.ones(1), points((0, 0)))
    result = metric.compute()
    assert float(result["ap50_5"]) == 1
    assert float(result["ap75_5"]) == 0
    assert float(result["ap_5"]) == pytest.approx(0.5)  # t = .5, .55, .6, .65, .7


def test_a_double_detection_is_a_false_positive() -> None:
    metric = LocalizationAP([5])
    metric.update(points((0, 0), (0, 1)), torch.tensor([0.9, 0.8]), points((0, 0), (100, 0)))
    assert float(metric.compute()["ar_5"]) == 0.5


def test_the_more_confident_takes_the_point() -> None:
    found, true = points((1, 0), (0, 0)), points((0, 0), (3, 0))
    # at sigma 5 all are in reach: (1, 0) takes (0, 0), the second takes (3, 0) if it may
    scores = torch.tensor([0.9, 0.8])
    free, strict = LocalizationAP([5]), LocalizationAP([5], matching="nearest")
    free.update(found, scores, true)
    strict.update(found, scores, true)
    assert float(free.compute()["ap50_5"]) == 1
    assert float(strict.compute()["ap50_5"]) == pytest.approx(51 / 101)


@pytest.mark.parametrize("free", [True, False])
def test_more_predictions_than_are_looked_at_together(free: bool) -> None:
    draw = np.random.default_rng(0)
    found, true = draw.random((200, 2)) * 30, draw.random((150, 2)) * 30
    if free:  # of equally near points the first; which is "the nearest" of them is not said
        found, true = found.round(), true.round()
    scores, radii = draw.integers(0, 9, 200), np.array([1.0, 2.5])
    expected = np.zeros((200, 2), dtype=bool)
    for column, radius in enumerate(radii):
        left = np.ones(len(true), dtype=bool)
        for index in sorted(range(200), key=lambda i: -scores[i]):
            gap = np.hypot(*(true - found[index]).T)
            nearest = int(np.where(left | (not free), gap, np.inf).argmin())
            if gap[nearest] <= radius and left[nearest]:
                expected[index, column], left[nearest] = True, False
    hits = rank_hits(*map(torch.tensor, (found, scores, true)), radii, free=free)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(hits, expected)


def test_ranks_run_over_all_pictures_and_merge() -> None:
    pictures = [
        (points((0, 0), (50, 50)), torch.tensor([0.9, 0.2]), points((0, 0))),
        (points((9, 9)), torch.tensor([0.5]), points((9, 9))),
    ]
    whole, first, second = LocalizationAP([5]), LocalizationAP([5]), LocalizationAP([5])
    for picture in pictures:
        whole.update(*picture)
    first.update(*pictures[0])
    second.update(*pictures[1])
    first.merge_state(second)
    expected = {key: float(value) for key, value in whole.compute().items()}
    assert {key: float(value) for key, value in first.compute().items()} == expected
    assert expected["ap_5"] == pytest.approx(1.0)  # the false one ranks last


def test_a_process_without_pictures_takes_part() -> None:
    """Each process gathers (here: its own state and another's) whatever it has seen."""
    seen, idle = LocalizationAP([5]), LocalizationAP([5])
    seen.update(points((0, 0), (9, 9)), torch.tensor([0.9, 0.5]), points((0, 0)))
    states = [*seen.scores, *seen.hits, seen.truths]

    def gather(state: torch.Tensor, group: object) -> list[torch.Tensor]:
        twin = next(one for one in states if one.ndim == state.ndim and one.dtype == state.dtype)
        return [state, twin]

    idle.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert float(idle.truths) == 1
    assert torch.as_tensor(idle.scores).tolist() == pytest.approx([0.9, 0.5])
    assert torch.as_tensor(idle.hits).shape == (2, 10)


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="radii"):
        PointPR([])
    with pytest.raises(ValueError, match=r"pred must be \(N, 2\)"):
        PointPR([3]).update(torch.zeros(3), NONE)
    with pytest.raises(ValueError, match=r"scores must be \(2,\)"):
        LocalizationAP().update(torch.zeros(2, 2), torch.zeros(3), NONE)
    with pytest.raises(ValueError, match="not finite"):
        match_points(points((math.nan, 0)), points((0, 0)), 3)
    with pytest.raises(ValueError, match="matching"):
        LocalizationAP(matching="best")  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", [LocalizationAP, PckAP])
def test_the_order_of_pictures_and_points_does_not_matter(metric: type[Metric]) -> None:
    """Also where confidences differ in float64 alone."""
    points = torch.tensor([[50.0, 50.0], [0.0, 0.0]])
    scores = torch.tensor([0.9, 0.9 + 1e-9], dtype=torch.float64)
    truth = torch.tensor([[0.0, 0.0], [0.0, 9.0]])
    found = []
    for order in (slice(None), torch.tensor([1, 0])):
        one = metric()
        one.update(points[order], scores[order], truth)
        found.append({key: float(value) for key, value in one.compute().items()})
    assert found[0] == found[1]


def test_a_point_as_far_away_as_the_radius_is_a_hit() -> None:
    found, true = points((4.25, 18.125)), points((0.0, 0.0))
    radius = math.hypot(4.25, 18.125)
    assert radius**2 < 4.25**2 + 18.125**2  # rounded; a tree that compares squares misses it
    assert rank_hits(found, torch.ones(1), true, np.array([radius]), free=True).tolist() == [[True]]
