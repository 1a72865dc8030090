"""Heatmaps of Gaussian peaks of height 1: targets of detectors by centres."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount
from fastcount.ops.differentiable import undifferentiable
from fastcount.ops.points import (
    Points,
    PointSets,
    Sigma,
    check_size,
    check_stride,
    check_truncate,
    flatten_points,
    flatten_sigma,
)
from fastcount.ops.scalars import check_flag, check_whole

_REDUCTIONS = ("max", "sum")


def _flatten_labels(
    labels: Tensor | Sequence[Tensor] | None, sets: PointSets, num_classes: int
) -> Tensor | None:
    """The class of every point, (T,) int64 on the points' device."""
    if labels is None:
        if num_classes != 1:
            raise ValueError(f"labels are needed for num_classes={num_classes}: (N,) int64")
        return None
    if isinstance(labels, Tensor) == sets.batched:
        raise TypeError("labels must come as the points do: one tensor (N,), or one for each set")
    given = [labels] if isinstance(labels, Tensor) else list(labels)
    if len(given) != len(sets.counts):
        raise ValueError(f"labels has {len(given)} entries for {len(sets.counts)} sets of points")
    for each, count in zip(given, sets.counts, strict=True):
        if not isinstance(each, Tensor) or each.is_floating_point() or each.dtype == torch.bool:
            raise TypeError("labels must be a tensor of whole numbers (int64) for each set")
        if each.shape != (count,):
            raise ValueError(f"labels must have shape ({count},), got {tuple(each.shape)}")
        if each.device != sets.points.device:
            raise ValueError(
                f"labels are on {each.device}, the points on {sets.points.device}: "
                "move them to one device"
            )
    flat = torch.cat(given).to(torch.int64) if given else torch.empty(0, dtype=torch.int64)
    if not torch.compiler.is_compiling() and not flat.is_meta and flat.numel() > 0:
        low, high = (int(value) for value in flat.aminmax())
        if low < 0 or high >= num_classes:
            raise ValueError(
                f"labels must be in 0 .. {num_classes - 1} for num_classes={num_classes}, "
                f"got {low if low < 0 else high}"
            )
    return flat.to(sets.points.device)


def gaussian_heatmap(
    points: Points,
    size: Sequence[int],
    sigma: Sigma,
    *,
    labels: Tensor | Sequence[Tensor] | None = None,
    num_classes: int = 1,
    stride: int = 1,
    reduce: str = "max",
    truncate: float = 3.0,
    round_centers: bool = True,
) -> Tensor:
    r"""Draw a Gaussian of height 1 for each point, on the map of its class.

    .. math:: h(u, v) = \exp\left(-\frac{(u - c_x)^2 + (v - c_y)^2}{2 \sigma^2}\right),
        \qquad c = \text{point} / \text{stride}

    on the window of ``int(truncate * sigma + 0.5)`` cells around the rounded centre (halves round
    up; a centre beyond the last cell belongs to it). Objects as points, Zhou et al. 2019
    (``reduce="max"``); mask focal loss (``reduce="sum"``).

    Args:
        points: (N, 2) floating point, x and y in pixel indices of the picture, or a sequence of
            such, one for each picture of a batch. Points outside draw nothing.
        size: (H, W) of the picture in pixels.
        sigma: width in output cells: a number, (N,), or for a batch one of these for each set.
        labels: (N,) whole numbers in 0 .. num_classes - 1, the map of each point.
        num_classes: number of maps C.
        stride: pixels a side of an output cell.
        reduce: where kernels overlap, ``"max"`` keeps the greater value, ``"sum"`` adds them up,
            at most to 1.
        truncate: half width of the window in sigmas.
        round_centers: move each centre to its cell, so that its peak is exactly 1.

    Returns:
        (B, C, ceil(H / stride), ceil(W / stride)) in [0, 1]; float64 for float64 points, float32
        otherwise.

    Raises:
        TypeError: an argument of the wrong type or dtype.
        ValueError: a wrong shape, a coordinate that is not finite, a sigma that is not positive,
            a label out of range, mixed devices.
        RuntimeError: when a gradient with respect to points or sigma is asked for.
    """
    height, width = check_size(size)
    check_stride(stride)
    truncate = check_truncate(truncate)
    check_whole(num_classes, "num_classes", 1)
    if reduce not in _REDUCTIONS:
        raise ValueError(f"reduce must be one of {_REDUCTIONS}, got {reduce!r}")
    check_flag(round_centers, "round_centers")
    sets = flatten_points(points)
    heatmap: Tensor = _gaussian_heatmap(
        sets.points.to(torch.float64),
        flatten_sigma(sigma, sets),
        _flatten_labels(labels, sets, num_classes),
        sets.counts,
        height,
        width,
        num_classes,
        stride,
        truncate,
        reduce == "sum",
        round_centers,
        torch.float64 if sets.points.dtype == torch.float64 else torch.float32,
    )
    return heatmap


def _fake(
    points: Tensor,
    sigma: Tensor,
    labels: Tensor | None,
    counts: Sequence[int],
    height: int,
    width: int,
    num_classes: int,
    stride: int,
    truncate: float,
    add: bool,
    round_centers: bool,
    dtype: torch.dtype,
) -> Tensor:
    shape = (len(counts), num_classes, -(-height // stride), -(-width // stride))
    return points.new_empty(shape, dtype=dtype)


torch.library.register_fake("fastcount::gaussian_heatmap", _fake)
_gaussian_heatmap = undifferentiable(
    "gaussian_heatmap",
    "gaussian_heatmap has no gradient with respect to points or sigma: "
    "pass points.detach() (and sigma.detach())",
)
