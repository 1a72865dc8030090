"""Fusion of several estimates of a count: eq. 2 and 3 of Itzhaky et al., and a median."""

from __future__ import annotations

import math

import pytest
import torch

from fastcount.models.parts.count_fusion import FUSIONS, fuse_counts

GENERATOR = torch.Generator().manual_seed(3)
MEANS = 10 * torch.rand(40, 5, dtype=torch.float64, generator=GENERATOR)
LOGS = 2 * torch.randn(40, 5, dtype=torch.float64, generator=GENERATOR)


def fused(fusion: str) -> list[tuple[list[float], list[float], float, float]]:
    """Every row's estimates, deviations, fused count and fused deviation."""
    count, std = fuse_counts(MEANS, LOGS, fusion)
    deviations = LOGS.exp().sqrt()
    rows = zip(MEANS.tolist(), deviations.tolist(), count.tolist(), std.tolist(), strict=True)
    return list(rows)


def test_minimum_variance_is_equation_2() -> None:
    for estimates, deviations, count, std in fused("min_variance"):
        k = deviations.index(min(deviations))
        assert (count, std) == (pytest.approx(estimates[k]), pytest.approx(deviations[k]))


def test_mle_is_equation_3() -> None:
    for estimates, deviations, count, std in fused("mle"):
        precisions = [1 / d**2 for d in deviations]
        total = sum(precisions)
        expected = sum(p * y for p, y in zip(precisions, estimates, strict=True)) / total
        assert count == pytest.approx(expected, rel=1e-12)
        bound = sum(p * d for p, d in zip(precisions, deviations, strict=True)) / total
        assert std == pytest.approx(bound, rel=1e-12)
        assert math.sqrt(1 / total) <= std <= max(deviations)


def test_average() -> None:
    for estimates, deviations, count, std in fused("average"):
        assert count == pytest.approx(sum(estimates) / 5)
        assert std == pytest.approx(sum(deviations) / 5)


def test_weighted_median_minimises_the_laplacian_likelihood() -> None:
    for estimates, deviations, count, std in fused("weighted_median"):

        def cost(y: float, estimates=estimates, deviations=deviations) -> float:
            return sum(abs(y - e) / d for e, d in zip(estimates, deviations, strict=True))

        assert count in estimates
        assert cost(count) == pytest.approx(min(cost(y) for y in estimates))
        assert std == pytest.approx(deviations[estimates.index(count)])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_extreme_variances_stay_finite(fusion: str) -> None:
    logs = torch.tensor([[-300.0, 0.0, 300.0], [300.0, 300.0, 300.0]])
    count, _ = fuse_counts(torch.tensor([[1.0, 2.0, 3.0]] * 2), logs, fusion)
    assert torch.isfinite(count).all()
    if fusion != "average":
        assert float(count[0]) == 1.0  # one is certain


def test_without_variances_there_is_only_the_average() -> None:
    count, std = fuse_counts(MEANS, None, "average")
    assert std is None
    torch.testing.assert_close(count, MEANS.mean(dim=1))
    with pytest.raises(ValueError, match="'mle' needs variances"):
        fuse_counts(MEANS, None, "mle")
    with pytest.raises(ValueError, match="fusion: need one of min_variance"):
        fuse_counts(MEANS, LOGS, "best")  # type: ignore[arg-type]
