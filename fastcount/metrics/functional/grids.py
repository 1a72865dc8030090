"""GAME: counting errors on grids of 1, 4, 16, ... cells, which also tell where a count is wrong.

Guerrero-Gomez-Olmedo et al., Extremely Overlapping Vehicle Counting, IbPRIA 2015.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastcount.metrics.functional.points import check_points


def check_level(level: int) -> int:
    if not 0 <= level <= 10:
        raise ValueError(f"level must lie between 0 and 10 (4**level cells), not {level}")
    return level


def grid_counts_of_points(points: Tensor, size: tuple[int, int], level: int) -> Tensor:
    """(2**level, 2**level) float64: how many of ``points`` (N, 2) lie in each cell.

    The picture of ``size`` (H, W) is cut into equal cells. A point outside the picture goes to
    the nearest cell, so that the cells add up to N: dots outside are part of the true count.
    """
    points = check_points(points, "points").double()
    cells = 2 ** check_level(level)
    extent = torch.tensor([size[1], size[0]], dtype=torch.float64, device=points.device)
    cell = ((points + 0.5) * cells / extent).floor().clamp(0, cells - 1).long()
    flat = torch.bincount(cell[:, 1] * cells + cell[:, 0], minlength=cells * cells)
    return flat.double().view(cells, cells)


def grid_counts_of_density(
    density: Tensor, size: tuple[int, int], level: int, *, stride: float | None = None
) -> Tensor:
    """(2**level, 2**level) float64: the mass of ``density`` (h, w) in each cell.

    Where a grid line runs through a cell of the map, its mass is divided by area. ``stride``:
    pixels a cell of the map, the last ones being cut off by the picture's edge, h = ceil(H /
    stride); None: the map is stretched evenly over the picture. Raises ``ValueError`` for a map
    that does not fit.
    """
    if density.ndim != 2 or not density.is_floating_point() or density.numel() == 0:
        raise ValueError(f"density must be a floating-point (h, w), not {tuple(density.shape)}")
    if not bool(torch.isfinite(density).all()):
        raise ValueError("density holds values that are not finite; the model has diverged")
    cells = 2 ** check_level(level)
    rows = _shares(density.shape[0], size[0], cells, stride).to(density.device)
    columns = _shares(density.shape[1], size[1], cells, stride).to(density.device)
    return rows @ density.detach().double() @ columns.T


def _shares(length: int, pixels: int, cells: int, stride: float | None) -> Tensor:
    """(cells, length): the share of each of the map's cells that lies in each grid cell."""
    if stride is None:
        edges = torch.linspace(0, pixels, length + 1, dtype=torch.float64)
    elif length == (expected := math.ceil(pixels / stride - 1e-6)):  # strides may be rounded
        edges = (torch.arange(length + 1, dtype=torch.float64) * stride).clamp(max=pixels)
    else:
        raise ValueError(
            f"density has {length} cells where {pixels} pixels at stride {stride} make "
            f"{expected}; crop it to the picture or leave out stride"
        )
    lines = torch.linspace(0, pixels, cells + 1, dtype=torch.float64)
    low = torch.maximum(lines[:-1, None], edges[None, :-1])
    high = torch.minimum(lines[1:, None], edges[None, 1:])
    return (high - low).clamp(min=0) / (edges[1:] - edges[:-1])


def grid_error(pred_cells: Tensor, target_cells: Tensor) -> Tensor:
    """The sum of |difference| over two grids of counts: one picture's part in GAME."""
    return (pred_cells - target_cells).abs().sum()


def game(
    pred_points: list[Tensor], target_points: list[Tensor], sizes: list[tuple[int, int]], level: int
) -> Tensor:
    """GAME(level) of points against points: the mean over pictures of the sum of |error| a cell.

    GAME(0) is the MAE of the counts; GAME(L) never falls with L. 0 over no pictures. For density
    maps see :class:`fastcount.metrics.GAME`, or :func:`grid_counts_of_density`.
    """
    if not len(pred_points) == len(target_points) == len(sizes):
        raise ValueError(
            f"pred_points, target_points and sizes must be of one length, not {len(pred_points)}, "
            f"{len(target_points)} and {len(sizes)}"
        )
    errors = [
        grid_error(
            grid_counts_of_points(pred, size, level), grid_counts_of_points(true, size, level)
        )
        for pred, true, size in zip(pred_points, target_points, sizes, strict=True)
    ]
    return torch.stack(errors).mean() if errors else torch.zeros((), dtype=torch.float64)
