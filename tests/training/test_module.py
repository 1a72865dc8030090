"""The optimisers and schedules that a run can name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fastcount.models import create_model
from fastcount.models.neighbour_sigma import NeighbourSigma
from fastcount.models.parts.pyramid import Backbone
from fastcount.training.config import Config, Part
from fastcount.training.module import CountingModule
from fastcount.training.pictures import PicturesModule


def configured(**options: Any) -> Any:
    config = Config("run", {"name": "mcnn"}, (Part("synthetic:"),), warmup=4, steps=12, **options)
    return CountingModule(create_model("mcnn"), config, []).configure_optimizers()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_optimisers(name: Any, kind: type[torch.optim.Optimizer]) -> None:
    optimizer = configured(optimizer=name, momentum=0.95, weight_decay=1e-3)["optimizer"]
    assert type(optimizer) is kind
    assert optimizer.defaults["weight_decay"] == 1e-3
    assert name != "sgd" or optimizer.defaults["momentum"] == 0.95


SMALL = {"backbone": "mobilenetv3_small_100", "channels": 32}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcos", SMALL),
        ("retinanet", SMALL),
        ("foveabox", SMALL),
        ("faster_rcnn", SMALL),
        ("leaf_msr", SMALL),
        ("centernet", {"backbone": "mobilenetv3_small_100", "width": 16, "head_width": 16}),
        ("yolov5", {"size": "n"}),
    ],
)
def test_only_a_network_of_classification_learns_at_the_backbone_s_rate(
    name: str, options: dict[str, Any]
) -> None:
    model = create_model(name, **options)
    config = Config("run", {"name": name}, (Part("synthetic:"),), lr=3.0, backbone_lr=2.0)
    groups = CountingModule(model, config, []).configure_optimizers()["optimizer"].param_groups
    slow = {id(p) for group in groups if group["initial_lr"] == 2 for p in group["params"]}
    fast = {id(p) for group in groups if group["initial_lr"] == 3 for p in group["params"]}
    expected = {
        id(p) for part in model.modules() if isinstance(part, Backbone) for p in part.parameters()
    }
    assert slow == expected
    assert bool(slow) == (name != "yolov5")
    assert slow | fast == {id(p) for p in model.parameters()}


def test_schedules_rise_alike_and_then_fall_or_stay() -> None:
    factor = {}
    for schedule in ("cosine", "constant"):
        (factor[schedule],) = configured(schedule=schedule)["lr_scheduler"]["scheduler"].lr_lambdas
    for step in range(4):
        assert factor["cosine"](step) == factor["constant"](step) == (step + 1) / 4
    assert factor["cosine"](8) == pytest.approx(0.01 + 0.99 / 2)
    assert factor["cosine"](12) == pytest.approx(0.01)
    assert factor["constant"](12) == 1


def test_neighbours_are_looked_for_before_a_picture_is_cropped() -> None:
    spec = "synthetic:?kind=cells&count=60&pictures=2&size=192"
    model = create_model("csrnet", width=1 / 16)
    assert model.kernels == NeighbourSigma(k=3, beta=0.3)
    assert create_model("csrnet", width=1 / 16, sigma=4.0).kernels is None
    config = Config("run", {"name": "csrnet"}, (Part(spec, validate=False),), crop=(64, 64))
    pictures = PicturesModule(config, model.tiling, model.kernels)
    whole = pictures.parts[0][0]
    assert whole.sigma is not None
    torch.testing.assert_close(whole.sigma, model.kernels.of(whole.points))
