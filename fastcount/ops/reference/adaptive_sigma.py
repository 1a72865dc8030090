from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops.reference.knn_distance import knn_distance


def adaptive_sigma(
    points: Tensor | Sequence[Tensor], *, k: int = 4, beta: float = 0.1, fallback: float = 15.0
) -> Tensor | list[Tensor]:
    """beta times the mean distance to the k nearest; the fallback for a point that is alone."""
    distances = knn_distance(points, k)
    if isinstance(distances, Tensor):
        return torch.where(torch.isinf(distances), fallback, beta * distances)
    return [torch.where(torch.isinf(d), fallback, beta * d) for d in distances]
