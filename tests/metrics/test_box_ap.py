"""COCO's AP against values worked out by hand, and past its usual limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.two_processes import in_two_processes

pytest.importorskip("faster_coco_eval")

from fastcount.metrics import BoxAP


def of(
    boxes: list[list[float]], scores: list[float] | None = None, labels: list[int] | None = None
):
    named = {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
    }
    return [named if scores is None else {**named, "scores": torch.tensor(scores)}]


def test_a_ranking_worked_out_by_hand() -> None:
    metric = BoxAP()
    truth = [[0.0, 0, 100, 100], [200, 0, 300, 100]]
    found = [[0.0, 0, 100, 100], [0, 200, 50, 250], [200, 0, 300, 62]]  # overlap 0.62
    metric.update(of(found, [0.9, 0.8, 0.7]), of(truth))
    result = metric.compute()
    # Recall 1/2 at precision 1, then 2/3 up to recall 1; above 0.62 the last is wrong.
    low, high = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert result["ap50"].item() == pytest.approx(low, abs=1e-6)
    assert result["ap75"].item() == pytest.approx(high, abs=1e-6)
    assert result["ap"].item() == pytest.approx((3 * low + 7 * high) / 10, abs=1e-6)


def test_classes_weigh_alike_and_those_not_there_are_left_out() -> None:
    metric = BoxAP()
    truth = [[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]
    metric.update(
        of([*truth[:2], truth[2]], [0.9, 0.8, 0.7], [0, 0, 2]), of(truth, labels=[0, 0, 1])
    )
    assert metric.compute()["ap50"].item() == pytest.approx(0.5)


def test_a_crowd_is_not_cut_at_100() -> None:
    x, y = torch.meshgrid(torch.arange(20.0) * 12, torch.arange(15.0) * 12, indexing="ij")
    corner = torch.stack([x, y], 2).reshape(-1, 2)
    boxes = torch.cat([corner, corner + 10], 1).tolist()
    metric = BoxAP()
    metric.update(of(boxes, torch.linspace(0.9, 0.1, len(boxes)).tolist()), of(boxes))
    assert {name: value.item() for name, value in metric.compute().items()} == {
        "ap": 1.0,
        "ap50": 1.0,
        "ap75": 1.0,
    }


@pytest.mark.parametrize(("found", "wanted", "value"), [(0, 0, 1.0), (0, 2, 0.0), (2, 0, 0.0)])
def test_nothing_found_or_nothing_there(found: int, wanted: int, value: float) -> None:
    box = [0.0, 0, 10, 10]
    metric = BoxAP()
    metric.update(of([box] * found, [0.5] * found), of([box] * wanted))
    assert metric.compute()["ap"].item() == value


def test_an_overlap_of_exactly_a_threshold_is_enough() -> None:
    """COCO's thresholds are of float64, and 6/10 is not below its .6."""
    metric = BoxAP()
    metric.update(of([[0.0, 0, 10, 6]], [0.9]), of([[0.0, 0, 10, 10]]))
    assert metric.compute()["ap"].item() == pytest.approx(0.3)  # .50, .55 and .60


@pytest.mark.parametrize(("found", "value"), [(0, 1.0), (1, 0.0)])
def test_a_crowd_alone_is_nothing_to_find(found: int, value: float) -> None:
    box = [0.0, 0, 10, 10]
    metric = BoxAP()
    (truth,) = of([box])
    metric.update(of([box] * found, [0.5] * found), [{**truth, "iscrowd": torch.ones(1).long()}])
    assert metric.compute()["ap50"].item() == value


def pictures_of(process: int) -> list[tuple[list[list[float]], list[list[float]]]]:
    """Found and true boxes: three pictures in the first process, none in the second."""
    row = [[20.0 * place, 0, 20.0 * place + 10, 10] for place in range(4)]
    return [(row[:1], row[:2]), ([], row[1:]), (row, row[:2])] if process == 0 else []


def seen_by(process: int, metric: BoxAP) -> BoxAP:
    for found, true in pictures_of(process):
        metric.update(of(found, [0.9, 0.3, 0.6, 0.5][: len(found)]), of(true))
    return metric


def measure(process: int, folder: Path) -> None:
    metric = seen_by(process, BoxAP())
    torch.save((metric.compute(), len(metric.detection_box)), folder / f"{process}.pt")


def test_processes_may_see_unequally_many_pictures(tmp_path: Path) -> None:
    in_two_processes(measure, tmp_path)
    expected = seen_by(0, BoxAP()).compute()
    for process, own in ((0, 3), (1, 0)):
        result, kept = torch.load(tmp_path / f"{process}.pt", weights_only=True)
        assert result == expected
        assert kept == own  # each goes on from what it saw itself
