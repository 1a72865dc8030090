"""CountSeg's peaks as maps: the values at strict local maxima, and a mask of the highest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcount.ops.differentiable import differentiable, undifferentiable
from fastcount.ops.maps import check_batch
from fastcount.ops.native import kernel_input
from fastcount.ops.scalars import check_whole


def peak_map(maps: Tensor, *, radius: int = 1) -> Tensor:
    """The value where it is strictly greater than every neighbour in the window, else 0.

    The window is ``2 * radius + 1`` pixels a side, cut off at the border. A NaN is no peak and
    hinders none.

    Args:
        maps: (B, C, H, W) floating point. float16 and bfloat16 are computed in float32.
        radius: of the window in pixels, at least 0.

    Returns:
        (B, C, H, W) of the maps' dtype. The gradient passes at the peaks and nowhere else.

    Raises:
        TypeError: maps that are no floating-point tensor, a radius that is no whole number.
        ValueError: a wrong shape, a negative radius.
    """
    check_batch(maps, "maps")
    check_whole(radius, "radius", 0)
    values = kernel_input(maps)
    peaks: Tensor = _peak_map(values.detach(), values, radius)
    return peaks.to(maps.dtype)


def top_peaks_mask(peaks: Tensor, counts: Tensor) -> Tensor:
    r"""1 at the peaks of each map that are among its ``t`` highest (CountSeg, eq. 2).

    .. math:: B_c(x) = [M_c(x) \ne 0] \, [M_c(x) \ge \text{the } t_c\text{-th highest peak of } M_c]

    Peaks are the entries that are not 0 (nor NaN), as :func:`peak_map` makes them. Equal heights at
    the ``t``-th place are all in; a map with fewer than ``t`` peaks gives all of them; ``t = 0``
    gives none.

    Args:
        peaks: (B, C, H, W) floating point. float16 and bfloat16 are computed in float32.
        counts: (B, C) whole numbers, ``t`` of each map.

    Returns:
        (B, C, H, W) of the peaks' dtype, 0 and 1.

    Raises:
        TypeError: peaks that are no floating-point tensor, counts of no integer dtype.
        ValueError: a wrong shape, peaks and counts on two devices.
        RuntimeError: when a gradient with respect to peaks is asked for.
    """
    check_batch(peaks, "peaks")
    if not isinstance(counts, Tensor):
        raise TypeError(f"counts must be a tensor (B, C), got {type(counts).__name__}")
    if counts.is_floating_point() or counts.is_complex() or counts.dtype == torch.bool:
        raise TypeError(
            f"counts must have an integer dtype, got {counts.dtype}; use counts.round().long()"
        )
    if counts.shape != peaks.shape[:2]:
        raise ValueError(
            f"counts must have shape {tuple(peaks.shape[:2])}, one for each map, "
            f"got {tuple(counts.shape)}"
        )
    if counts.device != peaks.device:
        raise ValueError(
            f"counts is on {counts.device}, peaks on {peaks.device}: move them to one device"
        )
    mask: Tensor = _top_peaks_mask(kernel_input(peaks), counts.to(torch.int64))
    return mask.to(peaks.dtype)


def _fake_peak_map(maps: Tensor, values: Tensor, radius: int) -> Tensor:
    return maps.new_empty(maps.shape)


def _fake_mask(peaks: Tensor, counts: Tensor) -> Tensor:
    return peaks.new_empty(peaks.shape)


def _keep_maps(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    maps, _, radius = inputs
    ctx.save_for_backward(maps)
    ctx.radius = radius


def _backward_peak_map(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
    if ctx.needs_input_grad[0]:
        raise RuntimeError("where the peaks are has no gradient: pass maps.detach() for maps")
    (maps,) = ctx.saved_tensors
    # The map is linear in `values`: what went to a peak comes back from it.
    return None, torch.ops.fastcount.peak_map(maps, grad, ctx.radius), None


torch.library.register_fake("fastcount::peak_map", _fake_peak_map)
torch.library.register_fake("fastcount::top_peaks_mask", _fake_mask)
_peak_map = differentiable("peak_map", _backward_peak_map, _keep_maps)
_top_peaks_mask = undifferentiable(
    "top_peaks_mask", "top_peaks_mask has no gradient: pass peaks.detach()"
)
