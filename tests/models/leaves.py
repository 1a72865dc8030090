"""Small leaf counters, and truths for them, that several test files share."""

from __future__ import annotations

from typing import Any

import torch

from fastcount.models import CountingModel, Target, create_model

NAMES = ("leaf_regression", "leaf_msr", "leaf_detection", "leaf_joint")
BACKBONE = "mobilenetv3_small_100"


def small(name: str, **options: Any) -> CountingModel:
    """A leaf counter on a compact backbone, for squares of 64 pixels."""
    if name == "leaf_regression":
        options = {"hidden": (32, 16), **options}
    else:
        options = {"channels": 16, **options}
    return create_model(name, backbone=BACKBONE, **{"size": (64, 64), **options})


def targets(*counts: int) -> list[Target]:
    """So many points in a square of 64 pixels for each count."""
    generator = torch.Generator().manual_seed(len(counts))
    points = [64 * torch.rand(n, 2, generator=generator) for n in counts]
    return [Target(count=float(len(p)), points=p) for p in points]
