"""One count out of a density and of located points, cell by cell of a 4 x 4 grid.

RAZ-Net, Liu et al., CVPR 2019, section 3.1, eq. 4:

    C_fused = C_den               where (C_den + C_loc) / 2 >= theta
              (C_den + C_loc) / 2 elsewhere

for each of the 16 cells of a picture, each with a theta of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

GRID = 4


def points_per_cell(points: Sequence[Tensor], size: tuple[int, int], stride: int) -> Tensor:
    """(B, 1, h, w) float32: how many of each picture's points (N, 2) lie in each cell of a map of
    ``size`` (h, w) and ``stride`` pixels; points outside it go to the nearest cell."""
    height, width = size
    maps = []
    for one in points:
        cell = ((one + 0.5) / stride).floor().long()
        x, y = cell[:, 0].clamp(0, width - 1), cell[:, 1].clamp(0, height - 1)
        maps.append(torch.bincount(y * width + x, minlength=height * width).view(1, height, width))
    return torch.stack(maps).float()


def grid_counts(maps: Tensor) -> Tensor:
    """(B, 1, h, w) maps of objects a cell to (B, 4, 4) objects a grid cell.

    Grid lines are at the map's own cell borders: a cell belongs where its middle lies.
    """
    rows, columns = (_membership(side, maps) for side in maps.shape[-2:])
    return rows.T @ maps[:, 0] @ columns


def fuse(
    density: Tensor,  # [B, 1, h, w]
    located: Tensor,  # [B, 1, h, w]
    theta: Tensor,  # [4, 4]
) -> Tensor:
    """The map (B, 1, h, w) whose sum in every grid cell is eq. 4's count, hence in all C_fused."""
    mean = (density + located) / 2
    crowded = (grid_counts(mean) >= theta).to(density)  # (B, 4, 4)
    rows, columns = (_membership(side, density) for side in density.shape[-2:])
    # each cell belongs to one grid cell: the products pick that one's choice
    alone = (rows @ crowded @ columns.T)[:, None] > 0.5
    return torch.where(alone, density, mean)


def estimate_theta(density: Tensor, located: Tensor, truth: Tensor) -> Tensor:
    """(4, 4) the theta of each grid cell that has the least absolute error over N pictures.

    ``density``, ``located``, ``truth``: (N, 4, 4) counts of the training pictures. The error
    changes only where theta passes a picture's own mean, so all its values are tried: theta lies
    half way between two such means, or is -inf (always the density) or +inf (always the mean).
    Of equally good ones the largest is taken. Raises ``ValueError`` for other shapes or N = 0.
    """
    shapes = {tuple(density.shape), tuple(located.shape), tuple(truth.shape)}
    if len(shapes) > 1 or density.shape[1:] != (GRID, GRID) or not len(density):
        raise ValueError(
            f"density, located, truth: need one shape (N, {GRID}, {GRID}), N > 0, got "
            f"{', '.join(map(str, sorted(shapes)))}"
        )
    density, located, truth = density.double(), located.double(), truth.double()
    mean, order = ((density + located) / 2).sort(dim=0)
    error_mean = (mean - truth.gather(0, order)).abs()
    error_alone = (density - truth).abs().gather(0, order)
    zero = torch.zeros_like(mean[:1])
    # entry i: the i pictures of lowest mean take the mean, the rest their density
    below = torch.cat([zero, error_mean.cumsum(0)])
    above = torch.cat([error_alone.flip(0).cumsum(0).flip(0), zero])
    infinite = torch.full_like(zero, torch.inf)
    edges = torch.cat([-infinite, (mean[:-1] + mean[1:]) / 2, infinite])
    # between two equal means there is no theta
    possible = torch.cat([zero == 0, mean[1:] > mean[:-1], zero == 0])
    errors = torch.where(possible, below + above, torch.inf)
    best = len(errors) - 1 - errors.flip(0).argmin(dim=0, keepdim=True)
    return edges.gather(0, best)[0].float()


def _membership(length: int, like: Tensor) -> Tensor:
    """(length, 4), 1 where a map's row (or column) belongs to a grid's row."""
    place = (torch.arange(length, device=like.device) * 2 + 1) * GRID // (2 * length)
    return torch.nn.functional.one_hot(place, GRID).to(like)
