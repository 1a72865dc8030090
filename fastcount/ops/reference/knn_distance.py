from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def knn_distance(points: Tensor | Sequence[Tensor], k: int) -> Tensor | list[Tensor]:
    """All distances, the nearest k others picked out; inf for a point that is alone."""
    if not isinstance(points, Tensor):
        return [_of_set(each, k) for each in points]
    return _of_set(points, k)


def _of_set(points: Tensor, k: int) -> Tensor:
    others = points.shape[0] - 1
    if others < 1:
        return torch.full_like(points[:, 0], torch.inf)
    exact = points.double()
    distance = (exact[:, None] - exact).square().sum(dim=2).sqrt()
    distance.fill_diagonal_(torch.inf)
    nearest = distance.topk(min(k, others), largest=False).values
    return nearest.mean(dim=1).to(points.dtype)
