from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from fastcount.ops.find_peaks import PaddedPeaks, Peaks


def find_peaks(
    scores: Tensor,
    *,
    kernel_size: int = 3,
    threshold: float = 0.5,
    smooth: int = 0,
    max_peaks: int | None = None,
) -> Peaks:
    """Every pixel held against each of its neighbours in turn."""
    values = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    height, width = values.shape[2:]
    if smooth == 3 and values.numel() > 0:
        padded = pad(values, (1, 1, 1, 1))
        columns = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
        values = (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]) / 9

    radius = kernel_size // 2
    around = pad(values, (radius, radius, radius, radius), value=torch.nan)
    peak = values >= threshold
    for down in range(kernel_size):
        for right in range(kernel_size):
            other = around[:, :, down : down + height, right : right + width]
            peak &= ~(other > values)
            if (down, right) < (radius, radius):
                peak &= ~(other == values)

    found = []
    for image in range(values.shape[0]):
        for channel in range(values.shape[1]):
            y, x = peak[image, channel].nonzero(as_tuple=True)
            score, order = values[image, channel, y, x].sort(descending=True, stable=True)
            order, score = order[:max_peaks], score[:max_peaks]
            points = torch.stack((x, y), dim=1)[order].float()
            found.append((points, score, image, channel))
    if not found:
        none = torch.empty(0, dtype=torch.int64, device=scores.device)
        return Peaks(none.float().reshape(0, 2), none.to(scores.dtype), none, none)
    counts = torch.tensor([len(score) for _, score, _, _ in found], device=scores.device)
    images = torch.tensor([image for *_, image, _ in found], device=scores.device)
    channels = torch.tensor([channel for *_, channel in found], device=scores.device)
    return Peaks(
        torch.cat([points for points, *_ in found]),
        torch.cat([score for _, score, *_ in found]).to(scores.dtype),
        images.repeat_interleave(counts),
        channels.repeat_interleave(counts),
    )


def find_peaks_padded(
    scores: Tensor,
    *,
    kernel_size: int = 3,
    threshold: float = 0.5,
    smooth: int = 0,
    max_peaks: int,
) -> PaddedPeaks:
    """find_peaks, each map's list copied into its place."""
    peaks = find_peaks(
        scores, kernel_size=kernel_size, threshold=threshold, smooth=smooth, max_peaks=max_peaks
    )
    maps = scores.shape[:2]
    points = torch.full((*maps, max_peaks, 2), -1.0, device=scores.device)
    values = scores.new_zeros((*maps, max_peaks))
    valid = torch.zeros(maps, dtype=torch.int64, device=scores.device)
    for point, score, image, channel in zip(*peaks, strict=True):
        rank = valid[image, channel].clone()
        points[image, channel, rank] = point
        values[image, channel, rank] = score
        valid[image, channel] += 1
    return PaddedPeaks(points, values, valid)
