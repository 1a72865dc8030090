"""Arguments that the operators on point sets share, checked and brought into one form.

A point is ``(x, y)`` in pixel-index coordinates: the centre of the top-left pixel is (0, 0), a
picture of ``size=(H, W)`` covers ``-0.5 <= x < W - 0.5`` and ``-0.5 <= y < H - 0.5``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastcount.ops.forward_mode import refuse_forward_mode
from fastcount.ops.native import require_device

#: One picture's points (N, 2), or those of a batch of pictures.
Points = Tensor | Sequence[Tensor]
#: One number for all, one a point (N,), or, for a batch, one of these for each set.
Sigma = float | Tensor | Sequence[float | Tensor]

_LONGEST_SIDE = 2**31 - 1


@dataclass(frozen=True)
class PointSets:
    """Point sets laid end to end.

    ``points``: (T, 2) contiguous, floating point. ``counts``: the number of points of each set,
    adding up to T. ``batched``: whether the caller gave a sequence. ``source``: the device that
    they were given on.
    """

    points: Tensor
    counts: list[int]
    batched: bool
    source: torch.device

    def split(self, values: Tensor) -> Tensor | list[Tensor]:
        """Values (T, ...) in the form in which the points came: one tensor or one a set."""
        return list(torch.split(values, self.counts)) if self.batched else values


def _check_set(points: object, name: str) -> Tensor:
    if not isinstance(points, Tensor):
        raise TypeError(
            f"{name} must be a tensor (N, 2) or a sequence of such, got {type(points).__name__}"
        )
    if not points.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {points.dtype}; use {name}.float()")
    if points.dim() != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} must have shape (N, 2), got {tuple(points.shape)}")
    refuse_forward_mode(points, name)
    return points


def _check_finite(points: Tensor) -> None:
    """Raise ValueError for a NaN or infinity. Left to the kernels inside a compiled graph."""
    if torch.compiler.is_compiling() or points.is_meta:
        return
    # A sum takes a fifth of isfinite's time, and is finite only where every value is.
    if math.isfinite(points.detach().sum(dtype=torch.float64).item()):
        return
    if not bool(torch.isfinite(points).all()):  # finite values near 1e308 may add up to infinity
        raise ValueError("points holds a value that is not finite; remove such points first")


def flatten_points(points: Points, *, device: torch.device | str | None = None) -> PointSets:
    """Check point sets and lay them end to end, moved to ``device`` where one is given.

    Raises TypeError for what is no floating-point tensor, ValueError for a wrong shape, a value
    that is not finite or sets on several devices, RuntimeError for a device without kernels and
    a tangent.
    """
    batched = not isinstance(points, Tensor)
    if batched and not isinstance(points, Sequence):
        raise TypeError(
            f"points must be a tensor (N, 2) or a sequence of such, got {type(points).__name__}"
        )
    if isinstance(points, Tensor):
        sets = [_check_set(points, "points")]
    else:
        sets = [_check_set(each, f"points[{i}]") for i, each in enumerate(points)]
    for i, each in enumerate(sets):
        if each.device != sets[0].device:
            raise ValueError(
                f"points[{i}] is on {each.device}, points[0] on {sets[0].device}: "
                "move them to one device"
            )
    flat = torch.cat(sets) if len(sets) != 1 and sets else sets[0] if sets else torch.empty(0, 2)
    _check_finite(flat)
    source = flat.device
    if device is not None:
        flat = flat.to(device)
    require_device(flat.device)
    return PointSets(flat.contiguous(), [each.shape[0] for each in sets], batched, source)


def _sigma_of_set(sigma: object, count: int, sets: PointSets, name: str) -> Tensor:
    """The widths of one set's points, (count,) or () float64; those of a tensor unchecked."""
    device = sets.points.device
    if isinstance(sigma, Tensor):
        if sigma.is_complex() or sigma.dtype == torch.bool:
            raise TypeError(f"{name} must hold real numbers, got {sigma.dtype}")
        if sigma.dim() > 0 and sigma.device not in (device, sets.source):
            raise ValueError(
                f"{name} is on {sigma.device}, the points on {sets.source}: move them to one device"
            )
        refuse_forward_mode(sigma, name)
        if sigma.dim() > 1 or (sigma.dim() == 1 and sigma.shape[0] != count):
            raise ValueError(
                f"{name} must be a number or have shape ({count},), one for each point, "
                f"got {tuple(sigma.shape)}"
            )
        return sigma.to(device, torch.float64)
    if isinstance(sigma, bool) or not isinstance(sigma, int | float):
        raise TypeError(f"{name} must be a number or a tensor, got {type(sigma).__name__}")
    if not 0 < sigma < math.inf:  # math.isfinite would break a compiled graph
        raise ValueError(f"{name} must be positive and finite in pixels, got {sigma}")
    return torch.full((count,), float(sigma), dtype=torch.float64, device=device)


def _check_positive(widths: Sequence[Tensor], names: Sequence[str]) -> None:
    """Raise ValueError naming the first of ``widths`` that holds a value which is no width.

    All at once: on a GPU each look at a value waits for all that was asked of it before.
    """
    if torch.compiler.is_compiling() or any(each.is_meta for each in widths):
        return
    flat = torch.cat([each.reshape(-1) for each in widths])
    if bool(((flat > 0) & torch.isfinite(flat)).all()):
        return
    for name, own in zip(names, widths, strict=True):
        wrong = own[~((own > 0) & torch.isfinite(own))]
        if wrong.numel():
            raise ValueError(f"{name} must be positive and finite in pixels, got {float(wrong[0])}")


def flatten_sigma(sigma: Sigma, sets: PointSets) -> Tensor:
    """The width of every point's kernel, (T,) float64, on the device that the points are on now.

    ``sigma``: a number; a tensor (N,) for one set; for a batch a sequence of these, one for each
    set, or a tensor (B,). Raises TypeError, or ValueError for a wrong shape, another device than
    the points' or a value that is not positive and finite.
    """
    if not sets.batched and isinstance(sigma, Sequence):
        raise TypeError("sigma must be a number or a tensor (N,) for one set of points")
    if sets.batched and isinstance(sigma, Tensor) and sigma.dim() == 1:
        sigma = list(sigma.unbind())
    given, counts, names = [sigma], [sets.points.shape[0]], ["sigma"]
    if isinstance(sigma, Sequence):
        given, counts = list(sigma), sets.counts
        names = [f"sigma[{i}]" for i in range(len(given))]
        if len(given) != len(counts):
            raise ValueError(f"sigma has {len(given)} entries for {len(counts)} sets of points")
    widths = [
        _sigma_of_set(each, count, sets, name)
        for each, count, name in zip(given, counts, names, strict=True)
    ]
    if any(isinstance(each, Tensor) for each in given):
        _check_positive(widths, names)
    flat = [each.expand(count) for each, count in zip(widths, counts, strict=True)]
    if len(flat) == 1:
        return flat[0].contiguous()
    device = sets.points.device
    return torch.cat(flat) if flat else torch.empty(0, dtype=torch.float64, device=device)


def check_size(size: Sequence[int]) -> tuple[int, int]:
    """(H, W) in pixels, both in 1 .. 2^31 - 1."""
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f"size must be (H, W), got {size!r}")
    for side in size:
        if isinstance(side, bool) or not isinstance(side, int | torch.SymInt):
            raise TypeError(f"size must hold two whole numbers, got {size!r}")
        if not 1 <= side <= _LONGEST_SIDE:
            raise ValueError(f"size must be at least 1 and below 2^31 a side, got {tuple(size)}")
    return size[0], size[1]


def check_stride(stride: int, name: str = "stride") -> int:
    """Pixels a side of an output cell, 1 .. 2^31 - 1."""
    if isinstance(stride, bool) or not isinstance(stride, int | torch.SymInt):
        raise TypeError(f"{name} must be a whole number, got {stride!r}")
    if not 1 <= stride <= _LONGEST_SIDE:
        raise ValueError(f"{name} must be at least 1 and below 2^31, got {stride}")
    return stride


def check_truncate(truncate: float) -> float:
    """The half width of a kernel's window in sigmas, positive and finite."""
    if isinstance(truncate, bool) or not isinstance(truncate, int | float):
        raise TypeError(f"truncate must be a number, got {truncate!r}")
    if not 0 < truncate < math.inf:
        raise ValueError(f"truncate must be positive and finite (in sigmas), got {truncate}")
    return float(truncate)


def check_output_dtype(dtype: torch.dtype) -> None:
    """The dtype of a map that is drawn."""
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
