from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastcount.metrics import ClassCountError, CountAgreement, CountError
from fastcount.metrics.functional import (
    class_count_error,
    count_agreement,
    count_error,
    std_coverage,
)

PRED = torch.tensor([12.0, 5.0, 0.5, 30.0])
TRUE = torch.tensor([10.0, 5.0, 0.0, 40.0])


def floats(result: dict[str, Tensor]) -> dict[str, float]:
    assert all(value.dtype == torch.float64 for value in result.values())
    return {key: float(value) for key, value in result.items()}


def test_count_error_by_hand() -> None:
    mse = (4 + 0 + 0.25 + 100) / 4
    expected = {
        "mae": (2 + 0 + 0.5 + 10) / 4,
        "mse": mse,
        "rmse": math.sqrt(mse),
        "nae": (0.2 + 0 + 0.25) / 3,  # the empty picture has no relative error
        "bias": (2 + 0 + 0.5 - 10) / 4,
    }
    assert floats(count_error(PRED, TRUE)) == pytest.approx(expected)


def test_std_coverage_by_hand() -> None:
    std = torch.tensor([2.0, 0.0, 0.3, 6.0])  # errors 2, 0, 0.5, 10
    assert std_coverage(PRED, std, TRUE).tolist() == [0.5, 1.0]
    assert std_coverage(PRED, std, TRUE, multiples=(0.5,)).tolist() == [0.25]
    none = torch.zeros(0)
    assert std_coverage(none, none, none).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="std"):
        std_coverage(PRED, -std, TRUE)


def test_count_agreement_by_hand() -> None:
    found = floats(count_agreement(PRED, TRUE))  # rounded: 12, 5, 1, 30
    differences = torch.tensor([2.0, 0, 1, -10])
    assert found == pytest.approx(
        {
            "dic": float(differences.mean()),
            "dic_std": float(differences.std(correction=0)),
            "abs_dic": float(differences.abs().mean()),
            "abs_dic_std": float(differences.abs().std(correction=0)),
            "agreement": 25.0,
            "mse": float((differences**2).mean()),
        },
        rel=1e-6,
    )
    assert float(count_agreement(PRED, TRUE, round_counts=False)["dic"]) == pytest.approx(-7.5 / 4)


def test_class_count_error_by_hand() -> None:
    pred = torch.tensor([[1.0, 0, 2], [3, 0.4, 0]])
    true = torch.tensor([[2.0, 0, 0], [3, 0, 0]])
    found = floats(class_count_error(pred, true))
    assert found["mrmse"] == pytest.approx((math.sqrt(1 / 2) + 0 + math.sqrt(4 / 2)) / 3)
    assert found["mrmse_nz"] == pytest.approx(math.sqrt(1 / 2))  # only the first class occurs
    assert found["m_relrmse"] == pytest.approx((math.sqrt(1 / 3 / 2) + math.sqrt(4 / 2)) / 3)
    assert found["m_relrmse_nz"] == pytest.approx(math.sqrt(1 / 3 / 2))


@pytest.mark.parametrize(
    ("metric", "pred", "true"),
    [
        (CountError(), PRED, TRUE),
        (CountAgreement(), PRED, TRUE),
        (ClassCountError(2), PRED.view(2, 2), TRUE.view(2, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
class TestEveryMetric:
    def test_batches_and_processes_add_up(
        self, metric: CountError, pred: Tensor, true: Tensor
    ) -> None:
        metric.reset()
        metric.update(pred, true)
        whole = floats(metric.compute())
        other = metric.clone()
        metric.reset()
        other.reset()
        metric.update(pred[:1], true[:1])
        other.update(pred[1:], true[1:])
        metric.merge_state(other)
        assert floats(metric.compute()) == pytest.approx(whole)
        assert any(value > 0 for value in whole.values())

    @pytest.mark.filterwarnings("ignore:The ``compute`` method")
    def test_nothing_is_zero_and_never_nan(
        self, metric: CountError, pred: Tensor, true: Tensor
    ) -> None:
        metric.reset()
        assert set(floats(metric.compute()).values()) == {0.0}
        metric.update(pred[:0], true[:0])
        assert set(floats(metric.compute()).values()) == {0.0}
        metric.update(torch.zeros_like(pred), torch.zeros_like(true))
        assert not any(math.isnan(value) for value in floats(metric.compute()).values())

    def test_wrong_input(self, metric: CountError, pred: Tensor, true: Tensor) -> None:
        with pytest.raises(ValueError, match="share a shape"):
            metric.update(pred, true[:1])
        with pytest.raises(ValueError, match="pred holds"):
            metric.update(pred * math.nan, true)
        with pytest.raises(ValueError, match="target holds"):
            metric.update(pred, -true - 1)


def test_a_lone_number_is_one_picture() -> None:
    metric = CountError()
    metric.update(torch.tensor(3.0), torch.tensor(1.0))
    assert float(metric.compute()["mae"]) == 2


def test_large_counts_keep_their_digits() -> None:
    metric = CountError()
    for _ in range(20):
        metric.update(torch.tensor([12_865.1]), torch.tensor([12_865.0]))
    assert float(metric.compute()["mae"]) == pytest.approx(12_865.1 - 12_865, rel=5e-3)


def test_wrong_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"\(B, 3\)"):
        ClassCountError(3).update(torch.zeros(2, 2), torch.zeros(2, 2))
