"""What networks that regress a density map share: their target, their loss, their decoding."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcount import ops
from fastcount.counting import Counting
from fastcount.losses.precision import at_least_float32
from fastcount.models.base import (
    CountingModel,
    DensityOutput,
    Target,
    decode_density,
    require_one_each,
)
from fastcount.models.neighbour_sigma import NeighbourSigma, Sigma, check_sigma


def kernel_widths(
    targets: list[Target], points: list[Tensor], sigma: Sigma, kernels: NeighbourSigma | None
) -> list[Tensor]:
    """(N,) in pixels for each target's ``points`` (N, 2): its own ``sigma``; where it brings none,
    what ``kernels`` says, or where that is None ``sigma`` for all."""
    widths = []
    for target, own in zip(targets, points, strict=True):
        if "sigma" in target:
            widths.append(target["sigma"].to(own))
        elif kernels is not None:
            widths.append(kernels.of(own))
        else:
            widths.append(own.new_full((len(own),), float(sigma)))
    return widths


class DensityRegression(CountingModel):
    """A network whose output is one density map, learned by its squared error.

    ``sigma``: width in pixels of a target's kernel: a number, or ``"adaptive"`` for 0.3 x the
    mean distance to the three nearest other points (15 where there is no other), MCNN eq. 2.
    A target that brings ``sigma`` of its own is drawn with that, as training does, which looks
    for neighbours before it crops. Raises ``ValueError`` for any other value.

    After the last layer there is a (leaky) ReLU or nothing; a subclass that has something else
    there says so by ``scales_with_last_layers = False``.
    """

    scales_with_last_layers = True
    stride: int
    sigma: Sigma

    def __init__(self, sigma: Sigma) -> None:
        super().__init__()
        check_sigma(sigma)
        self.kernels = NeighbourSigma(k=3, beta=0.3) if isinstance(sigma, str) else None
        self.sigma = sigma

    def target_density(
        self, targets: list[Target], size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """(B, 1, ceil(H/stride), ceil(W/stride)) float32 for pictures of ``size`` (H, W)."""
        points = [target["points"].to(device, torch.float32) for target in targets]
        sigmas = kernel_widths(targets, points, self.sigma, self.kernels)
        return ops.density_map(points, size, sigma=sigmas, stride=self.stride)

    def loss(self, output: DensityOutput, targets: list[Target]) -> dict[str, Tensor]:
        """1/(2N) sum over N pictures and all cells of (density - truth)^2, summed, not averaged.

        The form printed by MCNN (eq. 4) and CSRNet (eq. 3); public code of both leaves out the
        half. Computed in float32 at least.
        """
        require_one_each(targets, output.density)
        density = at_least_float32(output.density)
        with torch.no_grad():
            truth = self.target_density(targets, output.picture_size, density.device)
        return {"loss": (density - truth).square().sum() / (2 * len(targets))}

    def decode(self, output: DensityOutput) -> list[Counting]:
        return decode_density(output)
