"""Slow references and checks that the tests of several models share."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcount.models import CountingModel, Target
from fastcount.models.parts.density_regression import DensityRegression


def slow_density(
    points: Tensor, sigmas: list[float], size: tuple[int, int], stride: int, truncate: float = 3.0
) -> NDArray[np.float64]:
    """The target of one picture in plain float64 loops: (ceil(H/stride), ceil(W/stride))."""
    height, width = size
    out = np.zeros((math.ceil(height / stride), math.ceil(width / stride)))
    for (x, y), sigma in zip(points.double().tolist(), sigmas, strict=True):
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            continue
        radius = int(truncate * sigma + 0.5)
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        weights = {
            (v, u): math.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2))
            for v in range(max(0, row - radius), min(height, row + radius + 1))
            for u in range(max(0, column - radius), min(width, column + radius + 1))
        }
        total = sum(weights.values())
        for (v, u), weight in weights.items():
            out[v // stride, u // stride] += weight / total
    return out


def slow_adaptive_sigma(points: Tensor) -> list[float]:
    """0.3 x the mean distance to the three nearest other points, 15 for a lone one."""
    places = points.double().tolist()
    sigmas = []
    for i, a in enumerate(places):
        distances = sorted(math.dist(a, b) for j, b in enumerate(places) if j != i)[:3]
        sigmas.append(max(0.5, 0.3 * sum(distances) / len(distances)) if distances else 15.0)
    return sigmas


def overfit(
    model: CountingModel, images: Tensor, targets: list[Target], *, lr: float, steps: int
) -> float:
    """Trains ``model`` on these pictures alone; the largest relative error of a count after."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(steps):
        loss = model.loss(model(images), targets)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        counts = model(images).count
    truth = torch.tensor([target["count"] for target in targets])
    return float(((counts - truth).abs() / truth).max())


def reach(model: DensityRegression, side: int) -> int:
    """How many pixels beyond its own cell the middle cell of a ``side`` x ``side`` map sees.

    Taken from the gradient with respect to the picture, in float64 so that nothing vanishes.
    """
    model = model.double()
    with torch.no_grad():  # positive weights: no ReLU shuts, no two paths cancel
        for parameter in model.parameters():
            parameter.abs_()
    stride = model.stride
    images = torch.rand(1, 3, side * stride, side * stride, dtype=torch.float64) + 3
    images.requires_grad_()
    middle = side // 2
    model(images).density[0, 0, middle, middle].backward()
    assert images.grad is not None
    seen = images.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    first, last = middle * stride, (middle + 1) * stride - 1
    return max(first - int(seen[0]), int(seen[-1]) - last)
