"""CSRNet: dilated convolutions for congested scenes (Li et al., CVPR 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from fastcount.models.base import IMAGENET_MEAN, IMAGENET_STD, DensityOutput, Normalize
from fastcount.models.parts.density_regression import DensityRegression, Sigma
from fastcount.models.parts.vgg_frontend import VGGFrontEnd, scaled
from fastcount.models.registry import register
from fastcount.runtime.tiling import Tiling

_BACK_END = (512, 512, 512, 256, 128, 64)


class DilatedBackEnd(nn.Sequential):
    """Six 3x3 convolutions of dilation 2 with ReLU, then a 1x1 convolution to the map.

    (B, ``channels``, h, w) to (B, 1, h, w). Weights start from a normal distribution of
    standard deviation 0.01, biases from 0, as the paper's.
    """

    def __init__(self, channels: int, *, width: float = 1.0) -> None:
        layers: list[nn.Module] = []
        for after in (scaled(c, width) for c in _BACK_END):
            layers += [
                nn.Conv2d(channels, after, 3, padding=2, dilation=2),
                nn.ReLU(inplace=True),
            ]
            channels = after
        super().__init__(*layers, nn.Conv2d(channels, 1, 1))
        for module in self:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)


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
        self.config = {"width": width, "sigma": sigma}
        self.normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
        self.backbone = VGGFrontEnd(width=width, weights=weights)
        self.back_end = DilatedBackEnd(self.backbone.channels, width=width)

    def forward(self, images: Tensor) -> DensityOutput:
        features = self.backbone(self.normalize(images))
        return DensityOutput(self.back_end(features), self.stride)
