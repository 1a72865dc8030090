"""Density maps: a Gaussian a point, the map's sum is the count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount
from fastcount.ops.differentiable import undifferentiable
from fastcount.ops.points import (
    Points,
    Sigma,
    check_output_dtype,
    check_size,
    check_stride,
    check_truncate,
    flatten_points,
    flatten_sigma,
)

_BORDERS = ("renormalize", "clip")


def density_map(
    points: Points,
    size: Sequence[int],
    *,
    sigma: Sigma = 5.0,
    stride: int = 1,
    truncate: float = 3.0,
    border: str = "renormalize",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Draw one normalised Gaussian for each point.

    .. math:: g(d_x, d_y) = \exp\left(-\frac{d_x^2 + d_y^2}{2 \sigma^2}\right)

    sampled at whole pixels, centred on the point itself, on the window of
    ``int(truncate * sigma + 0.5)`` pixels around the rounded point (halves round up).

    Args:
        points: (N, 2) floating point, x and y in pixel indices, or a sequence of such, one for
            each picture of a batch. Points outside the picture contribute nothing.
        size: (H, W) of the picture in pixels.
        sigma: width in pixels: a number, (N,), or for a batch one of these for each set.
        stride: pixels a side of an output cell; the same as adding up the stride-1 map over
            cells of ``stride x stride`` pixels, without holding it.
        truncate: half width of the window in sigmas.
        border: ``"renormalize"``: divided by its own sum over the pixels inside the picture, so
            every point inside adds exactly 1. ``"clip"``: divided by the sum over the whole
            window; for whole-pixel points equal to ``scipy.ndimage.gaussian_filter(delta, sigma,
            mode="constant", truncate=truncate)``.
        dtype: float32 or float64, of the map.
        device: where to draw; by default where the points are.

    Returns:
        (B, 1, ceil(H / stride), ceil(W / stride)), B = 1 for a single tensor of points. The sum is
        within 1e-5 (relative, float32) of the number of points inside with ``"renormalize"``.

    Raises:
        TypeError: an argument of the wrong type or dtype.
        ValueError: a wrong shape, a coordinate that is not finite, a sigma that is not positive,
            mixed devices. Inside ``torch.compile`` the values are checked by the kernel.
        RuntimeError: when a gradient with respect to points or sigma is asked for.
    """
    return density_pyramid(
        points,
        size,
        sigma=sigma,
        strides=(check_stride(stride),),
        truncate=truncate,
        border=border,
        dtype=dtype,
        device=device,
    )[0]


def density_pyramid(
    points: Points,
    size: Sequence[int],
    *,
    sigma: Sigma = 5.0,
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    truncate: float = 3.0,
    border: str = "renormalize",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> list[Tensor]:
    """Density maps of the same points at several strides, for little more than one of them.

    Arguments and errors as for :func:`density_map`, with ``strides`` for ``stride``. Each map has
    the same values as ``density_map(..., stride=stride)`` and, with ``border="renormalize"``, the
    same sum.
    """
    height, width = check_size(size)
    if not isinstance(strides, Sequence):
        raise TypeError(f"strides must be a sequence of whole numbers, got {strides!r}")
    cells = [check_stride(stride, f"strides[{i}]") for i, stride in enumerate(strides)]
    if border not in _BORDERS:
        raise ValueError(f"border must be one of {_BORDERS}, got {border!r}")
    truncate = check_truncate(truncate)
    check_output_dtype(dtype)
    sets = flatten_points(points, device=device)
    widths = flatten_sigma(sigma, sets)
    maps: list[Tensor] = _density_pyramid(
        sets.points.to(torch.float64),
        widths,
        sets.counts,
        height,
        width,
        cells,
        truncate,
        border == "renormalize",
        dtype,
    )
    return maps


def _fake(
    points: Tensor,
    sigma: Tensor,
    counts: Sequence[int],
    height: int,
    width: int,
    strides: Sequence[int],
    truncate: float,
    renormalize: bool,
    dtype: torch.dtype,
) -> list[Tensor]:
    return [
        points.new_empty((len(counts), 1, -(-height // s), -(-width // s)), dtype=dtype)
        for s in strides
    ]


torch.library.register_fake("fastcount::density_pyramid", _fake)
_density_pyramid = undifferentiable(
    "density_pyramid",
    "density_map and density_pyramid have no gradient with respect to points or sigma: "
    "pass points.detach() (and sigma.detach())",
)
