"""Gaussian heatmaps point by point: the definition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops.points import (
    Points,
    Sigma,
    check_size,
    check_stride,
    check_truncate,
    flatten_points,
    flatten_sigma,
)


def gaussian_heatmap(
    points: Points,
    size: Sequence[int],
    sigma: Sigma,
    *,
    labels: Tensor | Sequence[Tensor] | None = None,
    num_classes: int = 1,
    stride: int = 1,
    reduce: str = "max",
    truncate: float = 3.0,
    round_centers: bool = True,
) -> Tensor:
    """The same as :func:`fastcount.ops.gaussian_heatmap`; every point looks at every cell."""
    height, width = check_size(size)
    check_stride(stride)
    truncate = check_truncate(truncate)
    if reduce not in ("max", "sum"):
        raise ValueError(f"reduce must be 'max' or 'sum', got {reduce!r}")
    sets = flatten_points(points)
    sigmas = flatten_sigma(sigma, sets).tolist()
    given = [labels] if isinstance(labels, Tensor) else list(labels or [])
    classes = torch.cat(given).tolist() if given else [0] * len(sigmas)
    images = [i for i, count in enumerate(sets.counts) for _ in range(count)]

    rows, cols = -(-height // stride), -(-width // stride)
    v = torch.arange(rows, dtype=torch.float64)[:, None]
    u = torch.arange(cols, dtype=torch.float64)[None, :]
    out = torch.zeros(len(sets.counts), num_classes, rows, cols, dtype=torch.float64)
    for (x, y), s, label, image in zip(sets.points.tolist(), sigmas, classes, images, strict=True):
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            continue
        c_x, c_y = x / stride, y / stride
        cell_x = min(int(c_x + 0.5), cols - 1)
        cell_y = min(int(c_y + 0.5), rows - 1)
        if round_centers:
            c_x, c_y = cell_x, cell_y
        radius = int(truncate * s + 0.5)
        value = torch.exp(-((u - c_x) ** 2 + (v - c_y) ** 2) / (2 * s**2))
        value = value * (((u - cell_x).abs() <= radius) & ((v - cell_y).abs() <= radius))
        old = out[image, label]
        out[image, label] = torch.maximum(old, value) if reduce == "max" else old + value
    dtype = torch.float64 if sets.points.dtype == torch.float64 else torch.float32
    return out.clamp(max=1.0).to(sets.points.device, dtype)
