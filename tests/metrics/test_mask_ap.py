"""MaskAP: worked cases, and a plain count of right and wrong masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastcount.metrics import MaskAP
from fastcount.metrics.mask_ap import mask_iou


def strip(*pieces: tuple[int, int], length: int = 40) -> Tensor:
    """(N, 1, length) masks, each from one column to before another."""
    masks = torch.zeros(len(pieces), 1, length, dtype=torch.bool)
    for mask, (start, stop) in zip(masks, pieces, strict=True):
        mask[:, start:stop] = True
    return masks


def result(metric: MaskAP) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def test_overlaps() -> None:
    iou = mask_iou(strip((0, 10), (5, 15), (0, 0)), strip((0, 10), (10, 20)))
    expected = [[1, 0], [5 / 15, 5 / 15], [0, 0]]
    torch.testing.assert_close(iou, torch.tensor(expected, dtype=torch.float64))


def test_perfect_masks() -> None:
    metric, masks = MaskAP(), strip((0, 10), (10, 25))
    metric.update(masks, torch.tensor([0.2, 0.9]), masks.flip(0))
    assert result(metric) == {"map_25": 1, "map_50": 1, "map_75": 1, "abo": 1}


def test_thresholds_part_the_good_from_the_rough() -> None:
    metric = MaskAP()
    # overlaps with the two true masks: 6/10 and 3/10
    metric.update(strip((0, 6), (20, 23)), torch.tensor([0.5, 0.4]), strip((0, 10), (20, 30)))
    found = result(metric)
    assert found["map_25"] == 1
    assert found["map_50"] == pytest.approx(51 / 101)  # recalls 0 to 0.5
    assert found["map_75"] == 0
    assert found["abo"] == pytest.approx((0.6 + 0.3) / 2)


def test_a_mask_found_twice_is_wrong_once() -> None:
    metric = MaskAP(thresholds=(0.5,))
    twice = strip((0, 10), (0, 9), (20, 30))
    metric.update(twice, torch.tensor([0.9, 0.8, 0.7]), strip((0, 10), (20, 30)))
    # precision 1 up to recall 0.5, 2/3 from there to 1
    assert result(metric)["map_50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_surer_takes_the_mask() -> None:
    metric = MaskAP(thresholds=(0.5,))
    metric.update(strip((0, 6), (0, 10)), torch.tensor([0.3, 0.6]), strip((0, 10)))
    assert result(metric)["map_50"] == 1  # the second is right, and what follows is past recall 1
    metric.reset()
    metric.update(strip((30, 36), (0, 10)), torch.tensor([0.6, 0.3]), strip((0, 10)))
    assert result(metric)["map_50"] == pytest.approx(0.5)


def test_classes_do_not_mix() -> None:
    metric = MaskAP(3)
    pred, true = strip((0, 10), (10, 20)), strip((0, 10), (10, 20))
    labels = torch.tensor([0, 1]), torch.tensor([0, 0])
    metric.update(pred, torch.tensor([0.9, 0.8]), true, *labels)
    found = result(metric)
    # class 0 has one of two, class 1 was never there, class 2 does not occur
    assert found["map_50"] == pytest.approx((51 / 101 + 0) / 2)
    assert found["abo"] == pytest.approx(0.5)


def test_pictures_do_not_mix() -> None:
    metric = MaskAP(thresholds=(0.5,))
    metric.update(strip((0, 10)), torch.tensor([0.9]), strip())
    metric.update(strip(), torch.zeros(0), strip((0, 10)))
    assert result(metric) == {"map_50": 0, "abo": 0}


def test_nothing_there() -> None:
    metric = MaskAP(2)
    metric.update(strip(), torch.zeros(0), strip(), torch.zeros(0).long(), torch.zeros(0).long())
    assert set(result(metric).values()) == {1}
    metric.update(
        strip((0, 4)), torch.ones(1), strip(), torch.ones(1).long(), torch.zeros(0).long()
    )
    assert set(result(metric).values()) == {0}
    assert set(result(MaskAP()).values()) == {1}


def test_halves_join_to_the_whole() -> None:
    """What two processes saw, gathered as torchmetrics does, is what one would have seen."""
    generator = torch.Generator().manual_seed(0)
    whole, halves = MaskAP(2), (MaskAP(2), MaskAP(2))
    for number in range(6):
        pred, true = (torch.rand(n, 6, 6, generator=generator) > 0.5 for n in (4, 3))
        scores = torch.rand(4, generator=generator)
        labels = [torch.randint(0, 2, (n,), generator=generator) for n in (4, 3)]
        for metric in (whole, halves[number % 2]):
            metric.update(pred, scores, true, *labels)
    joined = MaskAP(2)
    for name in ("scores", "hits", "labels"):
        parts = [one for half in halves for one in getattr(half, name)]
        setattr(joined, name, torch.cat(parts))
    for name in ("truths", "overlaps"):
        setattr(joined, name, sum(getattr(half, name) for half in halves))
    assert result(joined) == pytest.approx(result(whole))
    assert 0 < result(whole)["map_25"] < 1


def test_wrong_arguments() -> None:
    masks = strip((0, 5))
    with pytest.raises(ValueError, match=r"must be \(N, H, W\)"):
        MaskAP().update(masks, torch.ones(1), strip((0, 5), length=9))
    with pytest.raises(ValueError, match=r"scores must be \(1,\)"):
        MaskAP().update(masks, torch.tensor([torch.nan]), masks)
    with pytest.raises(ValueError, match="pred_labels must be given"):
        MaskAP(2).update(masks, torch.ones(1), masks)
    with pytest.raises(ValueError, match="target_labels must lie between 0 and 1"):
        MaskAP(2).update(masks, torch.ones(1), masks, torch.zeros(1).long(), torch.tensor([2]))
    with pytest.raises(ValueError, match="num_classes must be at least 1"):
        MaskAP(0)
    with pytest.raises(ValueError, match=r"thresholds must lie in \(0, 1\]"):
        MaskAP(thresholds=(0.0,))
