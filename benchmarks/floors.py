"""What drawing Gaussians must compute at least: how many cells their windows have inside a map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def window_cells(
    points: Tensor,  # (N, 2) in pixels
    sigma: Tensor | float,
    size: Sequence[int],
    *,
    stride: int = 1,
) -> int:
    """Cells, of ``stride`` pixels a side, in the windows of three sigma around all points."""
    radius = (3.0 * torch.as_tensor(sigma, dtype=torch.float64) + 0.5).floor()
    cells = torch.ones(len(points), dtype=torch.float64)
    for axis, pixels in ((0, size[1]), (1, size[0])):
        centre = (points[:, axis].double().cpu() + 0.5).floor()
        first = (centre - radius).clamp(0, pixels - 1)
        last = (centre + radius).clamp(0, pixels - 1)
        cells *= (last / stride).floor() - (first / stride).floor() + 1
    return int(cells.sum())
