"""Density maps point by point: the definition, at full resolution, then pooled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

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


def _axis(position: float, sigma: float, radius: int) -> tuple[int, Tensor]:
    """First pixel and the weights of a whole window; 1 at the nearest pixel."""
    centre = int(torch.floor(torch.tensor(position, dtype=torch.float64) + 0.5))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64) - (position - centre)
    nearest = offsets.abs().min()
    return centre - radius, torch.exp(-(offsets**2 - nearest**2) / (2 * sigma**2))


def _one_picture(
    points: Tensor, sigma: Tensor, height: int, width: int, truncate: float, renormalize: bool
) -> Tensor:
    out = torch.zeros(height, width, dtype=torch.float64)
    for (x, y), width_of_kernel in zip(points.tolist(), sigma.tolist(), strict=True):
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            continue
        radius = int(truncate * width_of_kernel + 0.5)
        left, across = _axis(x, width_of_kernel, radius)
        top, down = _axis(y, width_of_kernel, radius)
        kernel = down[:, None] * across[None, :]
        whole = kernel.sum()
        kernel = kernel[max(-top, 0) : height - top, max(-left, 0) : width - left]
        kernel = kernel / (kernel.sum() if renormalize else whole)
        first_row, first_col = max(top, 0), max(left, 0)
        out[first_row : first_row + kernel.shape[0], first_col : first_col + kernel.shape[1]] += (
            kernel
        )
    return out


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
    """The same as :func:`fastcount.ops.density_map`; its time and memory grow with sigma^2."""
    height, width = check_size(size)
    check_stride(stride)
    if border not in ("renormalize", "clip"):
        raise ValueError(f"border must be 'renormalize' or 'clip', got {border!r}")
    check_output_dtype(dtype)
    sets = flatten_points(points, device=device)
    sigmas = torch.split(flatten_sigma(sigma, sets), sets.counts)
    maps = [
        _one_picture(each, s, height, width, check_truncate(truncate), border == "renormalize")
        for each, s in zip(torch.split(sets.points.double(), sets.counts), sigmas, strict=True)
    ]
    if not maps:
        return torch.zeros(
            0, 1, -(-height // stride), -(-width // stride), dtype=dtype, device=sets.points.device
        )
    full = torch.stack(maps)[:, None]
    padded = F.pad(full, (0, -width % stride, 0, -height % stride))
    pooled = F.avg_pool2d(padded, stride) * float(stride) ** 2
    return pooled.to(sets.points.device, dtype)


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
    """The same as :func:`fastcount.ops.density_pyramid`, one map after the other."""
    return [
        density_map(
            points,
            size,
            sigma=sigma,
            stride=stride,
            truncate=truncate,
            border=border,
            dtype=dtype,
            device=device,
        )
        for stride in strides
    ]
