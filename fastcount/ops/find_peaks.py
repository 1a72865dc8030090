"""Local maxima of score maps: where the things are that a heat map points at."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from fastcount.ops.differentiable import undifferentiable
from fastcount.ops.maps import check_batch, wants_gradient
from fastcount.ops.native import kernel_input
from fastcount.ops.scalars import check_whole, check_window

# Coordinates are float32, which holds whole numbers up to here.
_LONGEST_SIDE = 2**24


class Peaks(NamedTuple):
    """Peaks of a batch of maps, sorted by image, then channel, then falling score."""

    points: Tensor  # (M, 2) float32, x and y in pixel indices of the map
    scores: Tensor  # (M,) of the maps' dtype
    batch: Tensor  # (M,) int64
    channel: Tensor  # (M,) int64


class PaddedPeaks(NamedTuple):
    """The best K peaks of every map, by falling score; fixed shapes."""

    points: Tensor  # (B, C, K, 2) float32, x and y in pixel indices of the map; -1 where no peak
    scores: Tensor  # (B, C, K) of the maps' dtype; 0 where no peak
    valid: Tensor  # (B, C) int64, how many of the K are peaks


def find_peaks(
    scores: Tensor,
    *,
    kernel_size: int = 3,
    threshold: float = 0.5,
    smooth: int = 0,
    max_peaks: int | None = None,
) -> Peaks:
    """Pixels that no pixel of the window around them exceeds.

    A pixel is a peak if its value is at least ``threshold`` and, in the window of ``kernel_size``
    pixels a side around it, no value is greater and no equal value comes before it in reading
    order: one peak for a plateau that a window holds, never two in one window. A NaN is no peak
    and hinders none; infinities compare as numbers do.

    Args:
        scores: (B, C, H, W) floating point, H and W at most 2^24. float16 and bfloat16
            are computed in float32.
        kernel_size: side of the window in pixels, odd; it may exceed the map.
        threshold: least value of a peak, any number but NaN.
        smooth: 0, or 3: first the mean of 3 x 3 pixels, zeros outside counted (RAZ-Net). Scores
            are then the means.
        max_peaks: keep so many of the best of each map; None keeps all.

    Returns:
        :class:`Peaks`. Equal scores come in reading order. Where ``scores`` requires a gradient the
        peaks' scores carry it; points do not.

    Raises:
        TypeError: scores that are no floating-point tensor, an argument of the wrong type.
        ValueError: a wrong shape, an even or non-positive ``kernel_size``, a threshold of NaN, a
            ``smooth`` other than 0 and 3, ``max_peaks < 1``.
    """
    _check(scores, kernel_size, threshold, smooth)
    if max_peaks is not None:
        check_whole(max_peaks, "max_peaks", 1)
    values = kernel_input(scores)
    points, found, batch, channel = _find_peaks(
        values.detach(), kernel_size, threshold, smooth == 3, max_peaks
    )
    if wants_gradient(scores):
        at = points.long()
        found = _source(scores, smooth)[batch, channel, at[:, 1], at[:, 0]]
    return Peaks(points, found.to(scores.dtype), batch, channel)


def find_peaks_padded(
    scores: Tensor,
    *,
    kernel_size: int = 3,
    threshold: float = 0.5,
    smooth: int = 0,
    max_peaks: int,
) -> PaddedPeaks:
    """The best ``max_peaks`` peaks of every map, in tensors whose shapes depend on no value.

    The peaks of :func:`find_peaks` with the same arguments and errors. The rest of a map with fewer
    is points at (-1, -1), which lie outside every map, with score 0.
    """
    _check(scores, kernel_size, threshold, smooth)
    check_whole(max_peaks, "max_peaks", 1)
    values = kernel_input(scores)
    points, found, valid = _find_peaks_padded(
        values.detach(), kernel_size, threshold, smooth == 3, max_peaks
    )
    if wants_gradient(scores):
        at = points.long().clamp(min=0)
        index = at[..., 1] * scores.shape[3] + at[..., 0]
        picked = _source(scores, smooth).flatten(2).gather(2, index)
        rank = torch.arange(max_peaks, device=scores.device)
        found = torch.where(rank < valid[..., None], picked, torch.zeros_like(picked))
    return PaddedPeaks(points, found.to(scores.dtype), valid)


def _check(scores: Tensor, kernel_size: int, threshold: float, smooth: int) -> None:
    check_batch(scores, "scores")
    if max(scores.shape[2:]) > _LONGEST_SIDE:
        raise ValueError(
            f"scores must have sides of at most 2^24 pixels, got {tuple(scores.shape)}; tile it"
        )
    check_window(kernel_size)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise TypeError(f"threshold must be a number, got {threshold!r}")
    if threshold != threshold:
        raise ValueError("threshold must be a number, got NaN")
    if smooth not in (0, 3):
        raise ValueError(f"smooth must be 0 (off) or 3 (mean of 3 x 3 pixels), got {smooth!r}")


def _source(scores: Tensor, smooth: int) -> Tensor:
    """The map that peaks are taken from, added up in the kernel's order: down, then across."""
    if smooth == 0 or scores.numel() == 0:
        return scores
    wide = scores if scores.dtype == torch.float64 else scores.float()
    padded = pad(wide, (1, 1, 1, 1))
    columns = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    # By a tensor: on a GPU PyTorch divides by a number by multiplying, which rounds differently.
    nine = wide.new_full((), 9.0)
    return (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]) / nine


def _fake(
    scores: Tensor, kernel_size: int, threshold: float, smooth: bool, max_peaks: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    total = torch.library.get_ctx().new_dynamic_size()
    return (
        scores.new_empty((total, 2), dtype=torch.float32),
        scores.new_empty((total,)),
        scores.new_empty((total,), dtype=torch.int64),
        scores.new_empty((total,), dtype=torch.int64),
    )


def _fake_padded(
    scores: Tensor, kernel_size: int, threshold: float, smooth: bool, max_peaks: int
) -> tuple[Tensor, Tensor, Tensor]:
    maps = scores.shape[:2]
    return (
        scores.new_empty((*maps, max_peaks, 2), dtype=torch.float32),
        scores.new_empty((*maps, max_peaks)),
        scores.new_empty(maps, dtype=torch.int64),
    )


torch.library.register_fake("fastcount::find_peaks", _fake)
torch.library.register_fake("fastcount::find_peaks_padded", _fake_padded)
_WHY = (
    "torch.ops.fastcount.find_peaks has no gradient: call fastcount.ops.find_peaks, whose scores "
    "have one"
)
_find_peaks = undifferentiable("find_peaks", _WHY)
_find_peaks_padded = undifferentiable("find_peaks_padded", _WHY)
