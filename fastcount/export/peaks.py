"""Peaks of maps in operators that every inference engine has: no indices from a pool, no loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_MOST_AT_ONCE = 3840  # K of TensorRT's TopK


def find_peaks_padded(
    scores: Tensor,
    kernel_size: int,
    threshold: float,
    smooth: bool,
    max_peaks: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What :func:`fastcount.ops.find_peaks_padded` gives, for an exported graph.

    TopK sorts the peaks: ONNX lets the first of equal values win. One difference from the
    operator: minus infinity is never a peak.

    (B, C, H, W) to points (B, C, K, 2) float32, scores (B, C, K) and the number of peaks (B, C)
    int64.
    """
    heights = peak_heights(scores, kernel_size, threshold, smooth=smooth)
    best, place = highest(heights.flatten(2), max_peaks)
    valid = (heights > -torch.inf).flatten(2).to(torch.int64).sum(dim=2).clamp(max=max_peaks)
    is_peak = torch.arange(max_peaks, device=scores.device) < valid[..., None]
    points = coordinates(scores)[torch.where(is_peak, place, torch.zeros_like(place))]
    points = torch.where(is_peak[..., None], points, torch.full_like(points, -1.0))
    return points, torch.where(is_peak, best, torch.zeros_like(best)), valid


def peak_heights(
    scores: Tensor, kernel_size: int, threshold: float, *, smooth: bool = False
) -> Tensor:
    """(B, C, H, W): the values at the peaks, minus infinity elsewhere.

    A peak equals the maximum of its window, and none of the (kernel_size^2 - 1) / 2 pixels of the
    window that come before it in reading order equals it.
    """
    height, width = scores.shape[2:]
    if smooth:
        scores = _mean_of_nine(scores)
    lowest = torch.full_like(scores[:1, :1, :1, :1], -torch.inf)
    values = torch.where(torch.isnan(scores), lowest, scores)
    radius = kernel_size // 2
    peak = (values >= threshold) & (values > lowest)
    peak = peak & (values == F.max_pool2d(values, kernel_size, stride=1, padding=radius))
    around = F.pad(values, (radius, radius, radius, radius), value=-torch.inf)
    for down in range(radius + 1):
        for right in range(radius if down == radius else kernel_size):
            before = around[:, :, down : down + height, right : right + width]
            peak = peak & (before != values)
    return torch.where(peak, values, lowest)


def peaks_or_nan(
    scores: Tensor, kernel_size: int, threshold: float, *, smooth: bool = False
) -> Tensor:
    """:func:`peak_heights`, with NaN where ``scores`` has it."""
    heights = peak_heights(scores, kernel_size, threshold, smooth=smooth)
    return torch.where(torch.isnan(scores), scores, heights)


def highest(values: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The ``number`` highest of (..., N) ``values``, falling, and their places.

    Where there are fewer than ``number``, the rest is minus infinity with places of N and beyond.
    More than TensorRT's TopK takes at once are taken in turns, each of what the former left.
    """
    filler = torch.full_like(values[..., :1], -torch.inf)
    filler = filler.expand(*filler.shape[:-1], number)
    rest = torch.cat([values, filler], dim=-1)
    found: list[Tensor] = []
    places: list[Tensor] = []
    for begun in range(0, number, _MOST_AT_ONCE):
        if places:
            rest = rest.scatter(-1, places[-1], -torch.inf)
        best, place = torch.topk(rest, min(_MOST_AT_ONCE, number - begun))
        found.append(best)
        places.append(place)
    if len(found) == 1:
        return found[0], places[0]
    return torch.cat(found, dim=-1), torch.cat(places, dim=-1)


def coordinates(maps: Tensor) -> Tensor:
    """(H W, 2) float32 x, y of each pixel of (..., H, W) ``maps``, in reading order.

    A table to look places up in, for the remainder of a division by a size that is free has no
    ONNX form.
    """
    height, width = maps.shape[-2:]
    x = torch.arange(width, device=maps.device, dtype=torch.float32)
    y = torch.arange(height, device=maps.device, dtype=torch.float32)[:, None]
    # Added, not expanded: to flatten what is expanded, the tracer wants to know more of its sides.
    x, y = x + torch.zeros_like(y), y + torch.zeros_like(x)
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def _mean_of_nine(values: Tensor) -> Tensor:
    """Zeros outside counted, added up in the operator's order: down, then across."""
    padded = F.pad(values, (1, 1, 1, 1))
    columns = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]) / 9
