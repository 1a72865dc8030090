from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Laplace, Normal

from fastcount.losses import gaussian_count_loss, laplacian_count_loss

MEAN = torch.tensor([[3.0, 7.5, -1.0], [0.0, 12.0, 4.0]], dtype=torch.float64)
LOG_VARIANCE = torch.tensor([[0.0, -2.0, 3.0], [1.5, 0.3, -0.7]], dtype=torch.float64)
COUNT = torch.tensor([[4.0], [11.0]], dtype=torch.float64)


def test_equation_1_term_by_term() -> None:
    ours = gaussian_count_loss(MEAN, LOG_VARIANCE, COUNT)
    for i in range(2):
        for j in range(3):
            variance = math.exp(float(LOG_VARIANCE[i, j]))
            error = float(MEAN[i, j]) - float(COUNT[i, 0])
            expected = error**2 / (2 * variance) + math.log(variance) / 2
            assert float(ours[i, j]) == pytest.approx(expected, rel=1e-12)


def test_both_are_likelihoods_of_a_distribution_of_that_variance() -> None:
    deviation = torch.exp(LOG_VARIANCE / 2)
    gaussian = -Normal(MEAN, deviation).log_prob(COUNT) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(gaussian_count_loss(MEAN, LOG_VARIANCE, COUNT), gaussian)
    laplace = Laplace(MEAN, deviation / math.sqrt(2))
    torch.testing.assert_close(laplace.variance, deviation.square())
    expected = -laplace.log_prob(COUNT) - 0.5 * math.log(2)
    torch.testing.assert_close(laplacian_count_loss(MEAN, LOG_VARIANCE, COUNT), expected)


@pytest.mark.parametrize("loss", [gaussian_count_loss, laplacian_count_loss])
def test_gradient(loss) -> None:
    mean = MEAN.clone().requires_grad_()
    log_variance = LOG_VARIANCE.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, s: loss(m, s, COUNT), (mean, log_variance))


@pytest.mark.parametrize(
    ("loss", "best"), [(gaussian_count_loss, 2.0), (laplacian_count_loss, 2.0 * math.sqrt(2))]
)
def test_the_best_deviation_is_that_of_the_errors(loss, best: float) -> None:
    """With errors of +-2 the Gaussian's sigma is 2; the Laplacian's b is 2, its sigma sqrt(2) b."""
    errors = torch.tensor([2.0, -2.0], dtype=torch.float64)
    candidates = torch.linspace(0.5, 6.0, 1101, dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    sums = [loss(errors, torch.full_like(zero, 2 * math.log(c)), zero).sum() for c in candidates]
    assert float(candidates[int(torch.stack(sums).argmin())]) == pytest.approx(best, abs=0.006)


@pytest.mark.parametrize("loss", [gaussian_count_loss, laplacian_count_loss])
def test_narrow_types_are_computed_in_float32(loss) -> None:
    narrow = loss(MEAN.half(), LOG_VARIANCE.half(), COUNT.float())
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(
        narrow, loss(MEAN, LOG_VARIANCE, COUNT).float(), rtol=5e-3, atol=5e-3
    )


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(2, 1\)"):
        gaussian_count_loss(MEAN, LOG_VARIANCE[:, :1], COUNT)


@pytest.mark.parametrize("loss", [gaussian_count_loss, laplacian_count_loss])
def test_a_column_of_truths_is_not_held_against_a_row_of_counts(loss) -> None:
    counts = torch.zeros(4)
    with pytest.raises(ValueError, match=r"^target: .* broadcasts to \(4,\), got \(4, 1\)$"):
        loss(counts, counts, torch.zeros(4, 1))
    with pytest.raises(ValueError, match="target"):
        loss(counts, counts, torch.zeros(3))
    assert loss(counts, counts, torch.zeros(1)).shape == (4,)
    assert loss(torch.zeros(4, 2), torch.zeros(4, 2), torch.zeros(4, 1)).shape == (4, 2)
