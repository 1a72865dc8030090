"""MCNN: single-image crowd counting by a multi-column network (Zhang et al., CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastcount.models.base import DensityOutput
from fastcount.models.neighbour_sigma import Sigma
from fastcount.models.parts.density_regression import DensityRegression
from fastcount.models.registry import register
from fastcount.runtime.tiling import Tiling

# Kernel sizes and channels of each column's four convolutions: large, middle and small heads.
COLUMNS = (
    ((9, 7, 7, 7), (16, 32, 16, 8)),
    ((7, 5, 5, 5), (20, 40, 20, 10)),
    ((5, 3, 3, 3), (24, 48, 24, 12)),
)
# Shares of red, green and blue in a picture's brightness (ITU-R BT.601, as OpenCV's grey).
_GREY = (0.299, 0.587, 0.114)


def _column(kernels: tuple[int, ...], channels: tuple[int, ...]) -> nn.Sequential:
    """Four convolutions with ReLU, 2x2 maxima after the first two: (B, 1, H, W) to stride 4."""
    layers: list[nn.Module] = []
    before = 1
    for i, (kernel, after) in enumerate(zip(kernels, channels, strict=True)):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
        if i < 2:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        before = after
    return nn.Sequential(*layers)


@register("mcnn")
class MCNN(DensityRegression):
    """Three columns of different kernel sizes over the grey picture, joined by a 1x1 convolution.

    ``sigma``: see :class:`~fastcount.models.parts.density_regression.DensityRegression`.

    ``forward``: (B, 3, H, W) RGB in [0, 1], any H and W, to a density (B, 1, ceil(H/4),
    ceil(W/4)) >= 0. The columns see grey in [0, 1]; public weights, which expect 0 to 255, have
    that factor multiplied into their first layers, see :mod:`fastcount.models.convert_mcnn`.
    """

    stride = 4
    tiling = Tiling(mode="overlap", tile=(1536, 1536), margin=40, align=4, fill=(0, 0, 0))
    grey: Tensor

    def __init__(self, *, sigma: Sigma = "adaptive") -> None:
        super().__init__(sigma)
        self.register_buffer("grey", torch.tensor(_GREY).view(1, 3, 1, 1), persistent=False)
        self.columns = nn.ModuleList(_column(*column) for column in COLUMNS)
        self.fuse = nn.Conv2d(sum(channels[-1] for _, channels in COLUMNS), 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            # Features are >= 0 and a ReLU follows: signs by chance could leave it shut for good.
            self.fuse.weight.normal_(std=0.01).abs_()

    def forward(self, images: Tensor) -> DensityOutput:
        grey = (images * self.grey).sum(dim=1, keepdim=True)
        features = torch.cat([column(grey) for column in self.columns], dim=1)
        size = images.shape[-2], images.shape[-1]
        return DensityOutput(torch.relu(self.fuse(features)), self.stride, size)
