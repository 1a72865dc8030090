from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def neighbour_distance_map(
    points: Tensor | Sequence[Tensor], size: Sequence[int], *, k: int = 3, stride: int = 1
) -> Tensor:
    """The distance of every pixel to every point, the nearest k picked out."""
    sets = [points] if isinstance(points, Tensor) else list(points)
    if not sets:
        return torch.zeros(0, 1, -(-size[0] // stride), -(-size[1] // stride))
    maps = [_of_set(each, size, k, stride) for each in sets]
    return torch.stack(maps)[:, None]


def attention_map(
    points: Tensor | Sequence[Tensor],
    size: Sequence[int],
    *,
    k: int = 3,
    sigma: float = 3.0,
    stride: int = 1,
) -> Tensor:
    """exp(-d^2 / (2 sigma^2)) of that distance."""
    distance = neighbour_distance_map(points, size, k=k, stride=stride)
    return torch.exp(-(distance**2) / (2 * sigma**2))


def _of_set(points: Tensor, size: Sequence[int], k: int, stride: int) -> Tensor:
    height, width = size
    exact = points.double()
    x, y = exact.unbind(1)
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    exact = exact[inside]
    middle = (stride - 1) / 2
    rows = torch.arange(0, height, stride, dtype=torch.float64, device=points.device) + middle
    cols = torch.arange(0, width, stride, dtype=torch.float64, device=points.device) + middle
    if len(exact) == 0:
        return points.new_full((len(rows), len(cols)), torch.inf)
    down = rows[:, None, None] - exact[:, 1]
    across = cols[None, :, None] - exact[:, 0]
    distance = (down.square() + across.square()).sqrt()
    nearest = distance.topk(min(k, len(exact)), largest=False).values
    return nearest.mean(dim=2).to(points.dtype)
