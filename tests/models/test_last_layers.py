"""Which counts a factor on the model's last layers multiplies, and that it does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fastcount.models import create_model, list_models
from fastcount.models.deepcount import SIZE
from fastcount.models.registry import _MODELS

#: Arguments that make a model small, and its last layers.
SCALING: dict[str, tuple[dict[str, Any], list[str]]] = {
    "mcnn": ({}, ["fuse"]),
    "csrnet": ({"width": 1 / 16}, ["back_end.12"]),
    "cannet": ({"width": 1 / 16}, ["back_end.12"]),
    "density_fpn": ({"width": 8, "depth": 1}, ["density"]),
    "deepcount": ({"width": 1 / 16, "branches": [2]}, ["count", "branches.2.density.0"]),
}


def test_which_models_say_so() -> None:
    for name in SCALING:
        create_model(name, **SCALING[name][0])
    saying = {name for name, cls in _MODELS.items() if cls.scales_with_last_layers}
    assert saying == set(SCALING)
    assert saying <= set(list_models())


@pytest.mark.parametrize("name", SCALING)
def test_a_factor_on_the_last_layers_is_a_factor_on_the_count(name: str) -> None:
    torch.manual_seed(0)
    config, layers = SCALING[name]
    model = create_model(name, **config).eval()
    images = torch.rand(1, 3, *(SIZE if name == "deepcount" else (64, 96)))
    last = [model.get_submodule(layer) for layer in layers]
    with torch.no_grad():
        for layer in last:
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            assert layer.bias is not None
            layer.weight.normal_(std=0.3)
            layer.bias.fill_(0.1)
        before = model.decode(model(images))[0]
        for layer in last:
            for values in layer.parameters():
                values.mul_(1.5)
        after = model.decode(model(images))[0]
    assert abs(before.count) > 0.01
    assert after.count == pytest.approx(1.5 * before.count, rel=1e-5)
    assert before.density is not None
    assert after.density == pytest.approx(1.5 * before.density, rel=1e-5, abs=1e-6)
