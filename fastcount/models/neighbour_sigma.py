"""How wide the kernels of a density's target are, from how far a point's neighbours are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fastcount.ops import adaptive_sigma

# A kernel's width in pixels, or the model's own rule.
Sigma = float | Literal["adaptive"]


@dataclass(frozen=True)
class NeighbourSigma:
    """``beta`` times the mean distance to the ``k`` nearest other points, ``lone`` where there is
    no other, clipped to [``low``, ``high``]; all in pixels.

    ``low``: points on one spot would have a kernel of no width; half a pixel still falls into one
    cell. Neighbours must be looked for in whole pictures: a crop has cut some of them off.
    """

    k: int
    beta: float
    low: float = 0.5
    high: float = math.inf
    lone: float = 15.0

    def of(self, points: Tensor) -> Tensor:
        """(N, 2) ``points`` of one picture to (N,) widths."""
        sigma = adaptive_sigma(points, k=self.k, beta=self.beta, fallback=self.lone)
        return sigma.clamp(self.low, self.high)


def check_sigma(sigma: Sigma) -> None:
    """Raises ``ValueError`` for what is no width."""
    wrong_word = isinstance(sigma, str) and sigma != "adaptive"
    if wrong_word or (not isinstance(sigma, str) and not sigma > 0):
        raise ValueError(f"sigma: need a number > 0 or 'adaptive', got {sigma!r}")
