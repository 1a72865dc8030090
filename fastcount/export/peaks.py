"""Peaks of maps in operators that every inference engine has: no indices from a pool, no loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def find_peaks_padded(
    scores: Tensor,
    kernel_size: int,
    threshold: float,
    smooth: bool,
    max_peaks: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What :func:`fastcount.ops.find_peaks_padded` gives, for an exported graph.

    A peak equals the maximum of its window, and none of the (kernel_size^2 - 1) / 2 pixels of the
    window that come before it in reading order equals it. TopK sorts them: ONNX lets the first of
    equal values win. One difference from the operator: minus infinity is never a peak.

    (B, C, H, W) to points (B, C, K, 2) float32, scores (B, C, K) and the number of peaks (B, C)
    int64.
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

    heights = torch.where(peak, values, lowest).flatten(2)
    # So many more that there are always max_peaks to choose from.
    filler = lowest.expand(scores.shape[0], scores.shape[1], max_peaks, 1).flatten(2)
    best, place = torch.topk(torch.cat([heights, filler], dim=2), max_peaks)
    valid = peak.flatten(2).to(torch.int64).sum(dim=2).clamp(max=max_peaks)
    is_peak = torch.arange(max_peaks, device=scores.device) < valid[..., None]
    # Looked up, for the remainder of a division by a size that is free has no ONNX form.
    x = torch.arange(width, device=scores.device).expand(height, width)
    y = torch.arange(height, device=scores.device)[:, None].expand(height, width)
    places = torch.stack([x.flatten(), y.flatten()], dim=1).to(torch.float32)
    points = places[torch.where(is_peak, place, torch.zeros_like(place))]
    points = torch.where(is_peak[..., None], points, torch.full_like(points, -1.0))
    return points, torch.where(is_peak, best, torch.zeros_like(best)), valid


def _mean_of_nine(values: Tensor) -> Tensor:
    """Zeros outside counted, added up in the operator's order: down, then across."""
    padded = F.pad(values, (1, 1, 1, 1))
    columns = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]) / 9
