"""Which parts of a picture RAZ-Net zooms into (Liu et al., CVPR 2019, section 3.1, Figure 4)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

RATIOS = (1.0, 0.5, 2.0)  # height to width
SCALES = (1.0, 2.0)  # of a square with a third of the shorter edge
_LEAST_SIDE = 8  # pixels; a network of stride 8 sees nothing in less


def propose_regions(
    attention: Tensor,  # [H, W]
    *,
    interest_points: int = 200,
    threshold: float = 0.01,
    overlap: float = 0.5,
    limit: int = 10,
) -> Tensor:
    """(R, 4) int64 x1, y1, x2, y2 of the regions worth a second look, the most crowded first.

    ``attention``: values >= 0. ``interest_points`` m are drawn from it, each pixel as likely as
    its attention says, always by the same random numbers: the same map gives the same regions.
    Around each lie anchors of three ratios and two scales, cut off at the border: the small
    square's side is a third of the shorter edge, the large one's twice that, and those of other
    ratios have the same areas. Anchors whose mean attention is below ``threshold`` (theta_z) are
    dropped; of two with an intersection over union above ``overlap`` the one of lower mean goes;
    of the rest the ``limit`` (k_z) best stay. Coordinates are edges: x1 <= column < x2.

    Raises ``ValueError`` for an attention that is not (H, W).
    """
    if attention.ndim != 2:
        raise ValueError(f"attention: need one map (H, W), got {tuple(attention.shape)}")
    attention = attention.detach().double()
    centres = _interest_points(attention, interest_points)
    boxes = _anchors(centres, (attention.shape[0], attention.shape[1]))
    means = _means(attention, boxes)
    crowded = means >= threshold
    boxes, means = boxes[crowded], means[crowded]
    return boxes[nms(boxes.float(), means.float(), overlap)[:limit]]


def _interest_points(attention: Tensor, number: int) -> Tensor:
    """(number, 2) int64 x, y; (0, 2) where the attention is 0 everywhere."""
    cumulative = attention.flatten().cumsum(0)
    if cumulative.numel() == 0 or not bool(cumulative[-1] > 0):
        return torch.zeros(0, 2, dtype=torch.int64, device=attention.device)
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(number, dtype=torch.float64, generator=generator).to(attention.device)
    chosen = torch.searchsorted(cumulative, draws * cumulative[-1], right=True)
    chosen = chosen.clamp(max=cumulative.numel() - 1)
    width = attention.shape[1]
    return torch.stack([chosen % width, chosen // width], dim=1)


def _anchors(centres: Tensor, size: tuple[int, int]) -> Tensor:
    """(6 N, 4) int64: each scale and ratio around each of the (N, 2) pixels."""
    sides = [
        (side * math.sqrt(ratio), side / math.sqrt(ratio))
        for side in (scale * min(size) / 3 for scale in SCALES)
        for ratio in RATIOS
    ]
    extent = torch.tensor(sides, device=centres.device).round().clamp(min=_LEAST_SIDE).long()
    low = centres[:, None] - extent[None, :, [1, 0]] // 2  # (N, 6, 2) x, y
    high = low + extent[None, :, [1, 0]]
    limits = torch.tensor([size[1], size[0]], device=centres.device)
    corners = torch.cat([low.clamp(min=0), torch.minimum(high, limits)], dim=2)
    return corners.flatten(0, 1)


def _means(attention: Tensor, boxes: Tensor) -> Tensor:
    """(N,) mean of the map in each box, from its double cumulative sum."""
    sums = F.pad(attention.cumsum(0).cumsum(1), (1, 0, 1, 0))
    x1, y1, x2, y2 = boxes.unbind(1)
    total = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return total / ((x2 - x1) * (y2 - y1))
