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

    (B, ``channels``, h, w) to (B, 1, h, w). ``pretrained``: see :func:`start_weights`.
    """

    def __init__(self, channels: int, *, width: float, pretrained: bool) -> None:
        layers: list[nn.Module] = []
        for after in (scaled(c, width) for c in _BACK_END):
            layers += [
                nn.Conv2d(channels, after, 3, padding=2, dilation=2),
                nn.ReLU(inplace=True),
            ]
            channels = after
        density = nn.Conv2d(channels, 1, 1)
        super().__init__(*layers, density)
        start_weights(self, pretrained=pretrained)
        start_weights(density, pretrained=True)  # a map of small numbers, either way


def start_weights(module: nn.Module, *, pretrained: bool) -> None:
    """Draws the convolutions in ``module`` anew, biases 0.

    Behind a ``pretrained`` front end: normal, standard deviation 0.01, as in the paper. Behind
    one that starts from chance that leaves maps of 1e-6 which hardly learn, so: He's.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            if pretrained:
                nn.init.normal_(layer.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


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
        self.back_end = DilatedBackEnd(
            self.backbone.channels, width=width, pretrained=weights is not None
        )

    def forward(self, images: Tensor) -> DensityOutput:
        features = self.backbone(self.normalize(images))
        return DensityOutput(self.back_end(features), self.stride)
