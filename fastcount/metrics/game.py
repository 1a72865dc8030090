"""GAME(L): grid average mean absolute error."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fastcount.metrics.functional.grids import (
    check_level,
    grid_counts_of_density,
    grid_counts_of_points,
    grid_error,
)
from fastcount.metrics.options import note_options


class GAME(Metric):
    """The mean over pictures of the sum of |counting error| over 4**level equal cells.

    ``compute()`` gives a float64 scalar, 0 before the first picture. GAME(0) is the MAE; true
    points outside their picture count in its nearest cell. Guerrero-Gomez-Olmedo et al., IbPRIA
    2015.

    >>> game = GAME(2)
    >>> game.update(true_points, (480, 640), density=density, stride=8)
    >>> game.update(true_points, (480, 640), points=found_points)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    error: Tensor
    pictures: Tensor

    def __init__(self, level: int = 0) -> None:
        super().__init__()
        self.level = check_level(level)
        zero = torch.zeros((), dtype=torch.float64)
        self.add_state("error", zero.clone(), dist_reduce_fx="sum")
        self.add_state("pictures", zero.clone(), dist_reduce_fx="sum")
        note_options(self, [level])

    def update(
        self,
        target: Tensor,
        size: tuple[int, int],
        *,
        points: Tensor | None = None,
        density: Tensor | None = None,
        stride: float | None = None,
    ) -> None:
        """One picture of ``size`` (H, W) with its true points ``target`` (N, 2).

        The prediction is either ``points`` (M, 2) or a ``density`` (h, w); ``stride`` as in
        :func:`fastcount.metrics.functional.grid_counts_of_density`. Raises ``ValueError`` where
        both or neither is given.
        """
        if points is not None and density is None:
            cells = grid_counts_of_points(points, size, self.level)
        elif density is not None and points is None:
            cells = grid_counts_of_density(density, size, self.level, stride=stride)
        else:
            raise ValueError("give the prediction as points= or as density=, one of the two")
        truth = grid_counts_of_points(target, size, self.level)
        self.error += grid_error(cells.to(self.error.device), truth.to(self.error.device))
        self.pictures += 1

    def compute(self) -> Tensor:
        return self.error / self.pictures.clamp(min=1)
