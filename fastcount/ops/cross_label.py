"""RAZ-Net's localisation label: a small cross on each point."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount
from fastcount.ops.differentiable import undifferentiable
from fastcount.ops.points import Points, check_size, flatten_points


def cross_label(points: Points, size: Sequence[int]) -> Tensor:
    r"""1 on the five pixels of a cross around each rounded point, 0 elsewhere (RAZ-Net, eq. 2).

    .. math:: Y(x) = [\psi(x) > 0], \quad \psi = \sum_i \delta(x - a_i) \otimes
              \begin{pmatrix} 0 & 1 & 0 \\ 1 & 1 & 1 \\ 0 & 1 & 0 \end{pmatrix}

    Halves round up. Arms that leave the picture are cut off; points outside it draw nothing.

    Args:
        points: (N, 2) floating point in pixels, or a sequence of such, one for each picture.
        size: (H, W) of the picture in pixels.

    Returns:
        (B, 1, H, W) float32.

    Raises:
        TypeError: points that are no floating-point tensors, a size that is not whole numbers.
        ValueError: a wrong shape, a coordinate that is not finite, mixed devices.
        RuntimeError: when a gradient with respect to points is asked for.
    """
    height, width = check_size(size)
    sets = flatten_points(points)
    label: Tensor = _cross_label(sets.points.to(torch.float64), sets.counts, height, width)
    return label


def _fake(points: Tensor, counts: Sequence[int], height: int, width: int) -> Tensor:
    return points.new_empty((len(counts), 1, height, width), dtype=torch.float32)


torch.library.register_fake("fastcount::cross_label", _fake)
_cross_label = undifferentiable(
    "cross_label", "cross_label has no gradient with respect to points: pass points.detach()"
)
