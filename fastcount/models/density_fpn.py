"""A small density counter: MobileNetV2 and a top-down pyramid (Lin et al. 2017).

The network of the shipped models: it sees objects of very different sizes (strides 8, 16 and 32
meet in one map), works on any picture size, and is an order of magnitude cheaper than a VGG.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastcount.counting import Counting
from fastcount.losses.pooled_count import pooled_count_loss
from fastcount.models.base import (
    CountingModel,
    DensityOutput,
    Normalize,
    Target,
    decode_density,
    require_multiples,
    require_one_each,
)
from fastcount.models.parts.density_regression import kernel_widths
from fastcount.models.parts.mobilenet_v2 import MobileNetV2Features, load_tflite
from fastcount.models.registry import register
from fastcount.ops import density_map
from fastcount.runtime.tiling import Tiling


class _Separable(nn.Sequential):
    """3x3 depthwise, 1x1, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


@register("density_fpn")
class DensityFPN(CountingModel):
    """MobileNetV2 features of strides 8, 16, 32, added top-down, to a density map of stride 8.

    ``weights``: path of an 8-bit TensorFlow Lite MobileNetV2 that starts the backbone.
    ``width``: channels of the pyramid. ``sigma``: width in pixels of a target's kernel where the
    target brings none of its own. ``frozen``: blocks of the backbone that are not trained.
    ``magnify``: 1, 2, 4 or 8; how many times pictures are enlarged first, for objects of a few
    pixels that lie on each other.

    ``forward``: (B, 3, H, W) RGB in [0, 1], H and W multiples of 32, to a density
    (B, 1, H/s, W/s) >= 0, of ``stride`` s = 8 / ``magnify``.

    Raises ``ValueError`` for another ``magnify``.
    """

    tiling = Tiling(mode="overlap", tile=(1536, 1536), margin=256, align=32, fill=(128, 128, 128))
    scales_with_last_layers = True

    def __init__(
        self,
        *,
        width: int = 128,
        depth: int = 3,
        sigma: float = 8.0,
        frozen: int = 4,
        magnify: int = 1,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if magnify not in (1, 2, 4, 8):
            raise ValueError(f"magnify: need 1, 2, 4 or 8, got {magnify}")
        self.magnify, self.stride = magnify, 8 // magnify
        if magnify > 1:  # as much memory and context as without
            tile, margin = 1536 // magnify, 256 // magnify
            self.tiling = replace(self.tiling, tile=(tile, tile), margin=margin)
        self.sigma = sigma
        self.normalize = Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.backbone = MobileNetV2Features(frozen=frozen)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width))
            for c in self.backbone.channels
        )
        self.smooth = nn.ModuleList(_Separable(width) for _ in self.backbone.channels)
        self.refine = nn.Sequential(*(_Separable(width) for _ in range(depth)))
        self.density = nn.Conv2d(width, 1, 1)
        nn.init.normal_(self.density.weight, std=0.01)
        assert self.density.bias is not None
        nn.init.constant_(self.density.bias, 0.05)  # above zero, or the last ReLU never wakes
        if weights is not None:
            load_tflite(self.backbone, weights)

    def forward(self, images: Tensor) -> DensityOutput:
        require_multiples(images, 32)
        size = images.shape[-2], images.shape[-1]
        if self.magnify > 1:
            images = F.interpolate(images, scale_factor=float(self.magnify), mode="bilinear")
        maps = self.backbone(self.normalize(images))
        top: Tensor | None = None
        for features, lateral, smooth in zip(
            reversed(maps), reversed(self.lateral), reversed(self.smooth), strict=True
        ):
            x = lateral(features)
            if top is not None:
                x = x + F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = smooth(x)
        return DensityOutput(F.relu(self.density(self.refine(top))), self.stride, size)

    def loss(self, output: DensityOutput, targets: list[Target]) -> dict[str, Tensor]:
        """Pooled count error against targets of each point's own ``sigma``, see
        :func:`fastcount.losses.pooled_count_loss`."""
        require_one_each(targets, output.density)
        height, width = (side * self.stride for side in output.density.shape[-2:])
        device = output.density.device
        points = [target["points"].to(device, torch.float32) for target in targets]
        sigmas = kernel_widths(targets, points, self.sigma, None)
        with torch.no_grad():
            truth = density_map(points, (height, width), sigma=sigmas, stride=self.stride)
        return {"loss": pooled_count_loss(output.density.float(), truth)}

    def decode(self, output: DensityOutput) -> list[Counting]:
        return decode_density(output)

    def scale_counts(self, factor: float) -> None:
        assert self.density.bias is not None
        with torch.no_grad():  # ReLU(f x) = f ReLU(x) for f > 0
            self.density.weight.mul_(factor)
            self.density.bias.mul_(factor)
