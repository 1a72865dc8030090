"""Mean distance to the nearest neighbours: how crowded it is around each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount
from fastcount.ops.differentiable import undifferentiable
from fastcount.ops.points import Points, flatten_points
from fastcount.ops.scalars import check_whole


@overload
def knn_distance(points: Tensor, k: int) -> Tensor: ...
@overload
def knn_distance(points: Sequence[Tensor], k: int) -> list[Tensor]: ...
def knn_distance(points: Points, k: int) -> Tensor | list[Tensor]:
    r"""Mean Euclidean distance of every point to the k nearest *other* points of its set.

    .. math:: \bar d_i = \frac{1}{k} \sum_{j \in N_k(i)} \lVert p_i - p_j \rVert

    Exact. Another point at the same place is an other point, at distance 0. In a set of fewer than
    ``k + 1`` points the mean is over the others there are; a point that is alone has distance inf.

    Args:
        points: (N, 2) floating point in pixels, or a sequence of such, one for each picture.
        k: how many neighbours, at least 1.

    Returns:
        (N,) in pixels, of the points' dtype (the distances are float64 inside); for a sequence of
        sets a list of such.

    Raises:
        TypeError: points that are no floating-point tensors, a ``k`` that is no whole number.
        ValueError: a wrong shape, a coordinate that is not finite, mixed devices, ``k < 1``.
        RuntimeError: when a gradient with respect to points is asked for.
    """
    check_whole(k, "k", 1)
    sets = flatten_points(points)
    distance: Tensor = _knn_distance(sets.points.to(torch.float64), sets.counts, k)
    return sets.split(distance.to(sets.points.dtype))


def _fake(points: Tensor, counts: Sequence[int], k: int) -> Tensor:
    return points.new_empty((points.shape[0],))


torch.library.register_fake("fastcount::knn_distance", _fake)
_knn_distance = undifferentiable(
    "knn_distance",
    "knn_distance and adaptive_sigma have no gradient with respect to points: pass points.detach()",
)
