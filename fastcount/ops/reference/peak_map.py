from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def peak_map(maps: Tensor, *, radius: int = 1) -> Tensor:
    """Every pixel held against each of its neighbours in turn."""
    height, width = maps.shape[2:]
    around = pad(maps, (radius, radius, radius, radius), value=torch.nan)
    peak = ~torch.isnan(maps)
    for down in range(2 * radius + 1):
        for right in range(2 * radius + 1):
            if (down, right) != (radius, radius):
                peak &= ~(around[:, :, down : down + height, right : right + width] >= maps)
    return torch.where(peak, maps, torch.zeros_like(maps))


def top_peaks_mask(peaks: Tensor, counts: Tensor) -> Tensor:
    """The peaks of each map sorted, the t-th taken as the least that stays."""
    mask = torch.zeros_like(peaks)
    for image in range(peaks.shape[0]):
        for channel in range(peaks.shape[1]):
            values = peaks[image, channel]
            is_peak = (values != 0) & ~torch.isnan(values)
            heights = values[is_peak].sort(descending=True).values[: int(counts[image, channel])]
            if int(counts[image, channel]) > 0 and len(heights) > 0:
                mask[image, channel] = (is_peak & (values >= heights[-1])).to(peaks.dtype)
    return mask
