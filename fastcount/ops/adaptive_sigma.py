"""Geometry-adaptive kernel widths: narrow where points are close together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from fastcount.ops.knn_distance import knn_distance
from fastcount.ops.points import Points
from fastcount.ops.scalars import check_number


@overload
def adaptive_sigma(
    points: Tensor, *, k: int = 4, beta: float = 0.1, fallback: float = 15.0
) -> Tensor: ...
@overload
def adaptive_sigma(
    points: Sequence[Tensor], *, k: int = 4, beta: float = 0.1, fallback: float = 15.0
) -> list[Tensor]: ...
def adaptive_sigma(
    points: Points, *, k: int = 4, beta: float = 0.1, fallback: float = 15.0
) -> Tensor | list[Tensor]:
    r"""The width of each point's Gaussian from the distance to its neighbours.

    .. math:: \sigma_i = \beta \, \bar d_i

    with the mean distance to the ``k`` nearest other points of :func:`knn_distance`. The outcome
    goes into ``density_map(..., sigma=)``. Where more than ``k`` points share one place it is 0,
    which no Gaussian can have: ``clamp(min=...)`` such sets.

    Args:
        points: (N, 2) floating point in pixels, or a sequence of such, one for each picture.
        k: how many neighbours, at least 1; in a smaller set as many as there are.
        beta: sigma for each pixel of distance.
        fallback: sigma in pixels where a set has a single point.

    Returns:
        (N,) in pixels, of the points' dtype; for a sequence of sets a list of such.

    Raises:
        TypeError, ValueError, RuntimeError: as :func:`knn_distance`; ValueError also for a beta or
            fallback that is not positive and finite.
    """
    check_number(beta, "beta", positive=True)
    check_number(fallback, "fallback", positive=True)

    def width(distance: Tensor) -> Tensor:
        alone = distance.shape[0] == 1
        return torch.full_like(distance, fallback) if alone else beta * distance

    if isinstance(points, Tensor):
        return width(knn_distance(points, k))
    return [width(distance) for distance in knn_distance(points, k)]
