"""The dilated back end of CSRNet (Li et al., CVPR 2018), which CANNet and RAZ-Net take over."""

from __future__ import annotations

from torch import nn

from fastcount.models.parts.vgg_frontend import scaled

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
