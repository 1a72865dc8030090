"""Operators that inference engines lack or compute badly, made of those that they do well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload

import fastcount.ops  # noqa: F401  registers the operators
from fastcount.export.peaks import find_peaks_padded


def stand_ins(dtype: torch.dtype) -> dict[OpOverload, Callable[..., Any]]:
    """What takes the place of which operator in a graph of ``dtype``."""
    table: dict[OpOverload, Callable[..., Any]] = {
        torch.ops.aten.adaptive_avg_pool2d.default: adaptive_avg_pool2d,
        torch.ops.fastcount.find_peaks_padded.default: find_peaks_padded,
        torch.ops.fastcount.peak_map.default: peak_map,
        torch.ops.fastcount.soft_count.default: soft_count,
    }
    if dtype == torch.float32:  # in float16 exp would overflow
        table[torch.ops.aten.sigmoid.default] = sigmoid
    return table


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)). ONNX Runtime's own gives some 1e-8 wherever it is less, which spoils a
    quotient of sums of sigmoids, as CANNet's."""
    return 1 / (1 + torch.exp(-x))


def peak_map(maps: Tensor, values: Tensor, radius: int) -> Tensor:
    """``values`` where ``maps`` is strictly greater than every neighbour, else 0: what
    :func:`fastcount.ops.peak_map` gives. (B, C, H, W) both."""
    height, width = maps.shape[2:]
    lowest = torch.full_like(maps[:1, :1, :1, :1], -torch.inf)
    known = torch.where(torch.isnan(maps), lowest, maps)
    around = F.pad(known, (radius, radius, radius, radius), value=-torch.inf)
    peak = known > lowest
    for down in range(2 * radius + 1):
        for right in range(2 * radius + 1):
            if (down, right) != (radius, radius):
                peak = peak & (known > around[:, :, down : down + height, right : right + width])
    return torch.where(peak, values, torch.zeros_like(values))


def soft_count(
    heatmap: Tensor, kernel_size: int, beta: float, steepness: float, threshold: float
) -> tuple[Tensor, Tensor]:
    """The detection map (B, C, H, W) and its sum (B, C) of :func:`fastcount.ops.soft_count`."""
    greatest = F.max_pool2d(heatmap, kernel_size, stride=1, padding=kernel_size // 2)
    softened = heatmap * torch.exp(-beta * torch.abs(heatmap - greatest))
    detection = sigmoid(steepness * (softened - threshold))
    return detection, detection.sum(dim=(2, 3))


def adaptive_avg_pool2d(images: Tensor, output_size: Sequence[int]) -> Tensor:
    """The same as :func:`torch.nn.functional.adaptive_avg_pool2d` by two matrix products.

    Cell i of n averages the rows floor(i h / n) to ceil((i + 1) h / n) - 1, and likewise for
    columns; a mean over rows and columns is a mean over rows of the means over columns.
    (B, C, h, w) to (B, C, *output_size).
    """
    height, width = output_size
    rows = _shares(height, images.shape[2], images)
    columns = _shares(width, images.shape[3], images)
    return torch.matmul(torch.matmul(rows, images), columns.transpose(0, 1))


def _shares(cells: int, length: int, like: Tensor) -> Tensor:
    """(cells, length): what each of ``length`` places adds to each cell's mean."""
    cell = torch.arange(cells, device=like.device)[:, None]
    low = torch.div(cell * length, cells, rounding_mode="floor")
    high = torch.div((cell + 1) * length + (cells - 1), cells, rounding_mode="floor")
    place = torch.arange(length, device=like.device)[None]
    inside = ((place >= low) & (place < high)).to(like.dtype)
    return inside / (high - low).to(like.dtype)
