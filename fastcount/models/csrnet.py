"""CSRNet: dilated convolutions for congested scenes (Li et al., CVPR 2018)."""

from __future__ import annotations

from torch import Tensor

from fastcount.models.base import IMAGENET_MEAN, IMAGENET_STD, DensityOutput, Normalize
from fastcount.models.neighbour_sigma import Sigma
from fastcount.models.parts.density_regression import DensityRegression
from fastcount.models.parts.dilated_back_end import DilatedBackEnd
from fastcount.models.parts.vgg_frontend import VGGFrontEnd
from fastcount.models.registry import register
from fastcount.runtime.tiling import Tiling


@register("csrnet")
class CSRNet(DensityRegression):
    """VGG-16's front end and a dilated back end (the paper's configuration B).

    ``width`` multiplies every channel count (1: the paper's 16.26 M parameters). ``sigma``: see
    :class:`~fastcount.models.parts.density_regression.DensityRegression`.
    ``weights="imagenet"`` starts the front end from torchvision's ImageNet weights, as the paper
    does. The paper trains with SGD, learning rate 1e-6, momentum 0.95, one picture a step.

    ``forward``: (B, 3, H, W) RGB in [0, 1], any H and W, to a density (B, 1, ceil(H/8),
    ceil(W/8)); the last layer is linear, so cells may fall a little below 0.
    """

    stride = 8
    tiling = Tiling(mode="overlap", tile=(1024, 1024), margin=152, align=8)

    def __init__(
        self, *, width: float = 1.0, sigma: Sigma = "adaptive", weights: str | None = None
    ) -> None:
        super().__init__(sigma)
        self.normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
        self.backbone = VGGFrontEnd(width=width, weights=weights)
        self.back_end = DilatedBackEnd(
            self.backbone.channels, width=width, pretrained=weights is not None
        )

    def forward(self, images: Tensor) -> DensityOutput:
        features = self.backbone(self.normalize(images))
        size = images.shape[-2], images.shape[-1]
        return DensityOutput(self.back_end(features), self.stride, size)
