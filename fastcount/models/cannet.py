"""CANNet: context-aware crowd counting (Liu, Salzmann and Fua, CVPR 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastcount.losses.precision import at_least_float32
from fastcount.models.base import IMAGENET_MEAN, IMAGENET_STD, DensityOutput, Normalize
from fastcount.models.neighbour_sigma import Sigma
from fastcount.models.parts.density_regression import DensityRegression
from fastcount.models.parts.dilated_back_end import DilatedBackEnd, start_weights
from fastcount.models.parts.vgg_frontend import VGGFrontEnd
from fastcount.models.registry import register
from fastcount.runtime.tiling import Tiling

_GRIDS = (1, 2, 3, 6)


class ScaleContext(nn.Module):
    """Features of several grids, weighted by how far each differs from the place it covers.

    With f the features: s_j is f averaged over a j x j grid, through a 1x1 convolution and
    stretched back to f's size; w_j = sigmoid(conv_j(s_j - f)); the result is
    sum w_j s_j / sum w_j, added up in float32 at least. (B, C, h, w) to (B, C, h, w).
    """

    def __init__(self, channels: int, *, pretrained: bool) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=False) for _ in _GRIDS)
        self.weights = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=False) for _ in _GRIDS)
        start_weights(self, pretrained=pretrained)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        total = torch.zeros_like(at_least_float32(features))
        norm = torch.zeros_like(total)
        for grid, scale, weigh in zip(_GRIDS, self.scales, self.weights, strict=True):
            pooled = scale(F.adaptive_avg_pool2d(features, grid))
            stretched = F.interpolate(pooled, size=size, mode="bilinear", align_corners=False)
            # float16 holds no sigmoid below 6e-8, and no gradient of dividing by the sum of such.
            weight = torch.sigmoid(at_least_float32(weigh(stretched - features)))
            total = total + weight * stretched
            norm = norm + weight
        # The least that keeps the gradient finite should all four vanish in float32, too.
        return (total / norm.clamp(min=1e-6)).to(features.dtype)


@register("cannet")
class CANNet(DensityRegression):
    """CSRNet's two ends with the context of the whole picture between them.

    The back end takes the front end's features and their context, 1,024 channels. Arguments,
    input and output are :class:`~fastcount.models.csrnet.CSRNet`'s. The context is that of the
    tile where a picture is counted in tiles, so the tiles are large.
    """

    stride = 8
    tiling = Tiling(mode="overlap", tile=(1536, 1536), margin=152, align=8)

    def __init__(
        self, *, width: float = 1.0, sigma: Sigma = "adaptive", weights: str | None = None
    ) -> None:
        super().__init__(sigma)
        self.normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
        self.backbone = VGGFrontEnd(width=width, weights=weights)
        pretrained = weights is not None
        self.context = ScaleContext(self.backbone.channels, pretrained=pretrained)
        self.back_end = DilatedBackEnd(
            2 * self.backbone.channels, width=width, pretrained=pretrained
        )

    def forward(self, images: Tensor) -> DensityOutput:
        features = self.backbone(self.normalize(images))
        joined = torch.cat([features, self.context(features)], dim=1)
        size = images.shape[-2], images.shape[-1]
        return DensityOutput(self.back_end(joined), self.stride, size)
