from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from fastcount.data.discs import Discs
from fastcount.data.sample import Annotation
from fastcount.models import create_model
from fastcount.training.calibration import best_factor, best_std_factor
from fastcount.training.fit import _calibrate


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


class Taken(Discs):
    """Pictures that pass for real ones, of which the truth is twice what can be seen."""

    rendered = False

    def annotation(self, index: int) -> Annotation:
        points = super().annotation(index).points
        return Annotation.of_points(np.concatenate([points, points]))


def test_rendered_pictures_calibrate_only_where_there_are_no_others() -> None:
    torch.manual_seed(0)
    model = create_model("density_fpn", width=16, depth=1)
    subsets = {
        "taken": Subset(Taken(pictures=3, size=64), range(3)),
        "rendered": Subset(Discs(pictures=3, size=64), range(3)),
    }

    def factor(*names: str) -> float:
        pictures = SimpleNamespace(validation={name: subsets[name] for name in names})
        return _calibrate(copy.deepcopy(model), pictures)["calibration"]

    assert factor("taken", "rendered") == factor("taken") == pytest.approx(2 * factor("rendered"))
