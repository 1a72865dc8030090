"""What networks that regress a density map share: their target, their loss, their decoding."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fastcount import ops
from fastcount.counting import Counting
from fastcount.models.base import CountingModel, DensityOutput, Target, decode_density

Sigma = float | Literal["adaptive"]

# Points on one spot would have a kernel of no width; half a pixel still falls into one cell.
_LEAST_SIGMA = 0.5


class DensityRegression(CountingModel):
    """A network whose output is one density map, learned by its squared error.

    ``sigma``: width in pixels of a target's kernel: a number, or ``"adaptive"`` for 0.3 x the
    mean distance to the three nearest other points (15 where there is no other), MCNN eq. 2.
    A target that brings ``sigma`` of its own is drawn with that: neighbours must be looked for
    before a picture is cropped. Raises ``ValueError`` for any other value.
    """

    stride: int
    sigma: Sigma

    def __init__(self, sigma: Sigma) -> None:
        super().__init__()
        wrong_word = isinstance(sigma, str) and sigma != "adaptive"
        if wrong_word or (not isinstance(sigma, str) and not sigma > 0):
            raise ValueError(f"sigma: need a number > 0 or 'adaptive', got {sigma!r}")
        self.sigma = sigma

    def target_density(
        self, targets: list[Target], size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """(B, 1, ceil(H/stride), ceil(W/stride)) float32 for pictures of ``size`` (H, W)."""
        points = [target["points"].to(device, torch.float32) for target in targets]
        sigmas = [self._sigma(target, one) for target, one in zip(targets, points, strict=True)]
        return ops.density_map(points, size, sigma=sigmas, stride=self.stride)

    def _sigma(self, target: Target, points: Tensor) -> Tensor:
        if "sigma" in target:
            return target["sigma"].to(points)
        if isinstance(self.sigma, str):
            wide = ops.adaptive_sigma(points, k=3, beta=0.3, fallback=15.0)
            return wide.clamp(min=_LEAST_SIGMA)
        return points.new_full((len(points),), self.sigma)

    def loss(self, output: DensityOutput, targets: list[Target]) -> dict[str, Tensor]:
        """1/(2N) sum over N pictures and all cells of (density - truth)^2, summed, not averaged.

        The form printed by MCNN (eq. 4) and CSRNet (eq. 3); public code of both leaves out the
        half. Computed in float32 at least.
        """
        density = output.density
        if density.dtype in (torch.float16, torch.bfloat16):
            density = density.float()
        height, width = (side * output.stride for side in density.shape[-2:])
        with torch.no_grad():
            truth = self.target_density(targets, (height, width), density.device)
        if truth.shape != density.shape:
            raise ValueError(
                f"targets: {len(targets)} for a batch of {len(density)} pictures; need one each"
            )
        return {"loss": (density - truth).square().sum() / (2 * len(targets))}

    def decode(self, output: DensityOutput) -> list[Counting]:
        return decode_density(output)
