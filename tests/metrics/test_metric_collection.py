"""Metrics of one class with other options in one ``MetricCollection``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchmetrics import Metric, MetricCollection

from fastcount.metrics import (
    GAME,
    ClassCountError,
    CountAgreement,
    LocalizationAP,
    MaskAP,
    PckAP,
    PointPR,
)

FEW, SOME = torch.tensor([[8.0, 8.0]]), torch.tensor([[8.0, 8.0], [40.0, 50.0]])
NEAR = torch.tensor([[8.0, 11.0], [44.0, 50.0]])
SURE = torch.tensor([0.9, 0.4])
MASKS = torch.zeros(2, 8, 8)
MASKS[0, :4], MASKS[1, 4:] = 1, 1
SMALLER = MASKS * (torch.arange(8) < 5)

# The first update leaves both metrics in the same state, the second does not.
CASES: list[tuple[Metric, Metric, list[tuple[tuple[Any, ...], dict[str, Any]]]]] = [
    (
        GAME(0),
        GAME(2),
        [((FEW[:0], (64, 64)), {"points": FEW[:0]}), ((SOME, (64, 64)), {"points": SOME.flip(1)})],
    ),
    (
        CountAgreement(),
        CountAgreement(round_counts=False),
        [((torch.tensor([2.0]), torch.tensor([3.0])), {}), ((SURE, torch.tensor([1.0, 1.0])), {})],
    ),
    (
        ClassCountError(1),
        ClassCountError(1, round_counts=False),
        [((FEW[:, :1], FEW[:, 1:]), {}), ((FEW[:, :1] + 0.4, FEW[:, 1:]), {})],
    ),
    (PointPR([2.0]), PointPR([5.0]), [((FEW, FEW), {}), ((NEAR, SOME), {})]),
    (PckAP(0.1), PckAP(0.2), [((SOME, SURE, SOME), {}), ((NEAR, SURE, SOME), {"extent": 20.0})]),
    (
        LocalizationAP([5.0]),
        LocalizationAP([2.0]),
        [((SOME, SURE, SOME), {}), ((NEAR, SURE, SOME), {})],
    ),
    (
        LocalizationAP([20.0]),
        LocalizationAP([20.0], matching="nearest"),
        [((SOME, SURE, SOME), {}), ((NEAR * 0 + FEW, SURE, FEW + SOME * 0.01), {})],
    ),
    (
        MaskAP(thresholds=[0.5]),
        MaskAP(thresholds=[0.75]),
        [((MASKS, SURE, MASKS), {}), ((SMALLER, SURE, MASKS), {})],
    ),
]


@pytest.mark.parametrize(("first", "second", "updates"), CASES)
def test_each_measures_as_it_does_alone(
    first: Metric, second: Metric, updates: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> None:
    together = MetricCollection({"first": first.clone(), "second": second.clone()})
    alone = {"first": first.clone(), "second": second.clone()}
    for arguments, options in updates:
        for metric in (together, *alone.values()):
            metric.update(*arguments, **options)
    values = {name: metric.compute() for name, metric in alone.items()}
    assert different(values["first"], values["second"]), "a case that cannot fail"
    for name in alone:
        assert not different(together[name].compute(), values[name])


def different(one: Any, other: Any) -> bool:
    """Whether two results differ, whatever their entries are called."""
    pairs = zip(*(r.values() if isinstance(r, dict) else [r] for r in (one, other)), strict=True)
    return any(not torch.allclose(a, b) for a, b in pairs)
