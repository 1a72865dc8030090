"""RAZ-Net's branches (Liu et al., CVPR 2019, section 3.1).

The paper leaves the exact layers to a supplement. The counting branch is CSRNet's back end; the
localisation branch has three deconvolutions with convolutions of dilation 2 before and between
them; the attention branch one such convolution.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fastcount.models.parts.dilated_back_end import DilatedBackEnd, start_weights
from fastcount.models.parts.vgg_frontend import scaled


def dilated(before: int, after: int) -> nn.Sequential:
    """3x3 convolution of dilation 2 and ReLU; keeps the size."""
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=2, dilation=2), nn.ReLU(inplace=True))


class CountingBranch(nn.Module):
    """(B, channels, h, w) to the last features (B, ``width`` * 64, h, w) and the density map
    (B, 1, h, w)."""

    def __init__(self, channels: int, *, width: float, pretrained: bool) -> None:
        super().__init__()
        layers = DilatedBackEnd(channels, width=width, pretrained=pretrained)
        *features, self.density = layers
        self.features = nn.Sequential(*features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.density(features)


class LocalizationBranch(nn.Module):
    """(B, channels, ceil(H/8), ceil(W/8)) to the last features (B, ``width`` * 64, H, W) and the
    logits (B, 1, H, W) of a point being there."""

    def __init__(self, channels: int, *, width: float) -> None:
        super().__init__()
        wide = scaled(512, width)
        layers: list[nn.Module] = [dilated(channels, wide), dilated(wide, wide)]
        layers.append(dilated(wide, wide))
        for after in (scaled(c, width) for c in (256, 128, 64)):
            up = nn.ConvTranspose2d(wide, after, 4, stride=2, padding=1)
            nn.init.kaiming_normal_(up.weight, mode="fan_out", nonlinearity="relu")
            # of the 16 weights of a stride-2 deconvolution 4 meet in any one pixel
            up.weight.data.mul_(2.0)
            assert up.bias is not None
            nn.init.zeros_(up.bias)
            layers += [up, nn.ReLU(inplace=True), dilated(after, after)]
            wide = after
        self.features = nn.Sequential(*layers)
        self.logits = nn.Conv2d(wide, 1, 1)
        self.channels = wide
        start_weights(self.features, pretrained=False)
        start_weights(self.logits, pretrained=True)

    def forward(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        features = self.features(x)[..., : size[0], : size[1]]
        return features, self.logits(features)


class AttentionBranch(nn.Sequential):
    """(B, channels, H, W) to the logits (B, 1, H, W) of how crowded each pixel is."""

    def __init__(self, channels: int, *, width: float) -> None:
        narrow = scaled(64, width)
        convolution, logits = dilated(channels, narrow), nn.Conv2d(narrow, 1, 1)
        super().__init__(convolution, logits)
        start_weights(convolution, pretrained=False)
        start_weights(logits, pretrained=True)


def enlarged(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Features of stride 8 brought to ``size`` (H, W) pixels, bilinear."""
    large = F.interpolate(features, scale_factor=8.0, mode="bilinear", align_corners=False)
    return large[..., : size[0], : size[1]]
