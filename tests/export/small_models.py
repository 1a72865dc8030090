"""Density models small enough to export in a test, with weights by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from fastcount.models import CountingModel, create_model

CONFIGS: dict[str, dict[str, Any]] = {
    "mcnn": {},
    "csrnet": {"width": 1 / 16},
    "cannet": {"width": 1 / 16},
    "density_fpn": {"width": 8, "depth": 1},
    "deepcount": {"width": 1 / 16, "branches": [2]},
}

PICTURE = np.random.default_rng(0).integers(0, 256, (75, 110, 3), np.uint8)
PICTURES = [("wide", PICTURE), ("tall", np.ascontiguousarray(PICTURE[:, :40]))]


def small_model(name: str) -> CountingModel:
    """Different in every place of the map, so that agreement means something."""
    torch.manual_seed(0)
    model = create_model(name, **CONFIGS[name])
    last = [module for module in model.modules() if isinstance(module, nn.Conv2d)][-1]
    if name != "deepcount":
        nn.init.normal_(last.weight, std=0.3)
    return model.eval()
