from __future__ import annotations

import pytest
import torch

from fastcount.models import create_model
from fastcount.training.calibration import best_factor, best_std_factor


def test_factor_is_the_best_of_many() -> None:
    generator = torch.Generator().manual_seed(0)
    sets = []
    for scale in (500.0, 20.0):
        truth = torch.rand(30, generator=generator, dtype=torch.float64) * scale
        noise = torch.rand(30, generator=generator, dtype=torch.float64) * 0.6 + 0.6
        sets.append((truth * noise, truth))

    def error(factor: float) -> float:
        return sum(float((factor * c - t).abs().mean() / t.mean().clamp_min(10)) for c, t in sets)

    chosen = best_factor(sets)
    assert error(chosen) <= min(error(0.5 + 0.001 * i) for i in range(1500)) + 1e-9
    assert chosen > 1


def test_nothing_counted_leaves_the_model_alone() -> None:
    assert best_factor([(torch.zeros(3), torch.tensor([1.0, 2.0, 0.0]))]) == 1.0


def test_scaling_scales_every_count() -> None:
    model = create_model("density_fpn", width=16, depth=1).eval()
    images = torch.rand(2, 3, 64, 64)
    before = model(images).count
    model.scale_counts(1.25)
    assert torch.allclose(model(images).count, 1.25 * before, rtol=1e-4)


def test_a_model_that_cannot_says_so() -> None:
    with pytest.raises(ValueError, match="mcnn cannot scale"):
        create_model("mcnn").scale_counts(2.0)


def test_deviations_are_scaled_to_the_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    std = torch.rand(4000, generator=generator, dtype=torch.float64) + 0.5
    truth = 10 * torch.rand(4000, generator=generator, dtype=torch.float64)
    noise = torch.randn(4000, generator=generator, dtype=torch.float64)
    counted = truth + 3 * std * noise
    factor = best_std_factor(counted, std, truth)
    assert factor == pytest.approx(3, rel=0.05)
    best = -torch.distributions.Normal(truth, factor * std).log_prob(counted).sum()
    for other in (0.97 * factor, 1.03 * factor):
        assert best < -torch.distributions.Normal(truth, other * std).log_prob(counted).sum()
    assert best_std_factor(truth, std, truth) == 1.0
    assert best_std_factor(truth[:0], std[:0], truth[:0]) == 1.0
