"""The layers of YOLOv5: cross-stage partial blocks, fast spatial pyramid pooling, and the network
of them that gives maps of strides 8, 16 and 32 (down, up again, and down once more).

CSPNet: Wang et al. 2020. Spatial pyramid pooling: He et al. 2015. Path aggregation: Liu et al.
2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, SiLU; the size of the map is kept, or halved with ``stride=2``."""

    def __init__(
        self, inputs: int, outputs: int, size: int = 1, stride: int = 1, padding: int | None = None
    ) -> None:
        super().__init__(
            nn.Conv2d(
                inputs,
                outputs,
                size,
                stride,
                padding=size // 2 if padding is None else padding,
                bias=False,
            ),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
            nn.SiLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolution, added to what came in where ``add``."""

    def __init__(self, channels: int, *, add: bool) -> None:
        super().__init__()
        self.first = ConvNormAct(channels, channels)
        self.second = ConvNormAct(channels, channels, 3)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return x + y if self.add else y


class CrossStagePartial(nn.Module):
    """Half of the channels through ``depth`` bottlenecks, half past them."""

    def __init__(self, inputs: int, outputs: int, depth: int, *, add: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.through = ConvNormAct(inputs, half)
        self.past = ConvNormAct(inputs, half)
        self.blocks = nn.Sequential(*(Bottleneck(half, add=add) for _ in range(depth)))
        self.join = ConvNormAct(2 * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.join(torch.cat([self.blocks(self.through(x)), self.past(x)], 1))
        return y


class PyramidPooling(nn.Module):
    """The map with its maxima over windows of 5, 9 and 13 cells, made one from the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = ConvNormAct(channels, channels // 2)
        self.join = ConvNormAct(channels * 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.narrow(x)]
        for _ in range(3):
            maps.append(F.max_pool2d(maps[-1], 5, stride=1, padding=2))
        y: Tensor = self.join(torch.cat(maps, 1))
        return y


class YoloPyramid(nn.Module):
    """Backbone and neck. ``channels``: of the maps of strides 8, 16 and 32 that come out.

    ``width`` and ``depth`` scale channels (to multiples of 8) and numbers of blocks: (0.25, 0.33)
    for YOLOv5n, (0.5, 0.33) s, (0.75, 0.67) m, (1, 1) l, (1.25, 1.33) x.
    """

    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (max(8, 8 * round(n * width / 8)) for n in (64, 128, 256, 512, 1024))
        few, some, many = (max(1, round(n * depth)) for n in (3, 6, 9))
        self.channels = (c3, c4, c5)
        self.stem = ConvNormAct(3, c1, 6, 2, padding=2)
        self.to8 = nn.Sequential(
            ConvNormAct(c1, c2, 3, 2),
            CrossStagePartial(c2, c2, few),
            ConvNormAct(c2, c3, 3, 2),
            CrossStagePartial(c3, c3, some),
        )
        self.to16 = nn.Sequential(ConvNormAct(c3, c4, 3, 2), CrossStagePartial(c4, c4, many))
        self.to32 = nn.Sequential(
            ConvNormAct(c4, c5, 3, 2), CrossStagePartial(c5, c5, few), PyramidPooling(c5)
        )
        self.narrow32, self.narrow16 = ConvNormAct(c5, c4), ConvNormAct(c4, c3)
        self.up16 = CrossStagePartial(2 * c4, c4, few, add=False)
        self.up8 = CrossStagePartial(2 * c3, c3, few, add=False)
        self.down16, self.down32 = ConvNormAct(c3, c3, 3, 2), ConvNormAct(c4, c4, 3, 2)
        self.out16 = CrossStagePartial(2 * c3, c4, few, add=False)
        self.out32 = CrossStagePartial(2 * c4, c5, few, add=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1], sides multiples of 32, to maps of strides 8, 16 and 32."""
        x8 = self.to8(self.stem(images))
        x16 = self.to16(x8)
        top32 = self.narrow32(self.to32(x16))
        top16 = self.narrow16(self.up16(torch.cat([_doubled(top32), x16], 1)))
        out8 = self.up8(torch.cat([_doubled(top16), x8], 1))
        out16 = self.out16(torch.cat([self.down16(out8), top16], 1))
        out32 = self.out32(torch.cat([self.down32(out16), top32], 1))
        return [out8, out16, out32]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
