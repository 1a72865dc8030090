"""How far every pixel is from the points, and RAZ-Net's attention map made of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount
from fastcount.ops.differentiable import undifferentiable
from fastcount.ops.points import Points, check_size, check_stride, flatten_points
from fastcount.ops.scalars import check_number, check_whole


def neighbour_distance_map(
    points: Points, size: Sequence[int], *, k: int = 3, stride: int = 1
) -> Tensor:
    r"""Mean Euclidean distance from each pixel to its k nearest points.

    .. math:: d(x) = \frac{1}{k} \sum_{j \in N_k(x)} \lVert x - p_j \rVert

    Exact. Points outside the picture count as absent. With fewer than ``k`` points inside, the mean
    is over those there are; without any it is inf.

    Args:
        points: (N, 2) floating point in pixels, or a sequence of such, one for each picture.
        size: (H, W) of the picture in pixels.
        k: how many points, at least 1.
        stride: pixels a side of an output cell; its value is that of the cell's centre.

    Returns:
        (B, 1, ceil(H / stride), ceil(W / stride)) in pixels, of the points' dtype.

    Raises:
        TypeError, ValueError: points as :func:`knn_distance` refuses them; a size, ``k`` or
            ``stride`` that is no whole number or below 1.
        RuntimeError: when a gradient with respect to points is asked for.
    """
    height, width = check_size(size)
    check_whole(k, "k", 1)
    check_stride(stride)
    sets = flatten_points(points)
    dtype = sets.points.dtype
    distance: Tensor = _neighbour_distance_map(
        sets.points.to(torch.float64),
        sets.counts,
        height,
        width,
        k,
        stride,
        torch.float64 if dtype == torch.float64 else torch.float32,
    )
    return distance.to(dtype)


def attention_map(
    points: Points, size: Sequence[int], *, k: int = 3, sigma: float = 3.0, stride: int = 1
) -> Tensor:
    r"""RAZ-Net's attention: high where points are close together.

    .. math:: a(x) = \exp\left(-\frac{d(x)^2}{2 \sigma^2}\right)

    with the distance of :func:`neighbour_distance_map`, whose arguments and errors these are;
    ``sigma`` in pixels, positive. Values in [0, 1]; 0 where there are no points.
    """
    check_number(sigma, "sigma", positive=True)
    distance = neighbour_distance_map(points, size, k=k, stride=stride)
    # In place: a picture's map is large, and nobody else has it.
    return distance.div_(sigma).square_().mul_(-0.5).exp_()


def _fake(
    points: Tensor,
    counts: Sequence[int],
    height: int,
    width: int,
    k: int,
    stride: int,
    dtype: torch.dtype,
) -> Tensor:
    shape = (len(counts), 1, -(-height // stride), -(-width // stride))
    return points.new_empty(shape, dtype=dtype)


torch.library.register_fake("fastcount::neighbour_distance_map", _fake)
_neighbour_distance_map = undifferentiable(
    "neighbour_distance_map",
    "neighbour_distance_map and attention_map have no gradient with respect to points: "
    "pass points.detach()",
)
