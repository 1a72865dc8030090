"""Maps of chosen strides from a compact backbone, timm's or this package's MobileNetV2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastcount.models.base import IMAGENET_MEAN, IMAGENET_STD, Normalize
from fastcount.models.parts.mobilenet_v2 import MobileNetV2Features, load_tflite
from fastcount.models.parts.timm_features import TimmFeatures

# Stride of each map that MobileNetV2 gives, and the blocks that it takes.
_BLOCKS = {8: 6, 16: 13, 32: 17}


class MobileNetV2Strides(nn.Module):
    """The maps of ``strides`` (8, 16 or 32 pixels a cell, rising) of MobileNetV2, as one.

    Those of larger strides are brought to the size of the first by bilinear interpolation and
    concatenated with it; blocks beyond the last of them are left out. ``weights``: None, or the
    path of an 8-bit TensorFlow Lite file, with which the stem and the first three blocks are
    frozen.

    (B, 3, H, W) in [-1, 1] to (B, ``channels``, ceil(H / strides[0]), ceil(W / strides[0])).

    Raises ``ValueError`` for other strides, and a file that is not such a network.
    """

    channels: int

    def __init__(self, strides: Sequence[int], *, weights: str | None = None) -> None:
        super().__init__()
        if not strides or not set(strides) <= set(_BLOCKS):
            raise ValueError(
                f"backbone: mobilenet_v2 has maps of strides {sorted(_BLOCKS)}, "
                f"not all of {list(strides)}; choose another network"
            )
        body = MobileNetV2Features(frozen=0 if weights is None else 4)
        if weights is not None:
            load_tflite(body, weights)
        del body.blocks[_BLOCKS[strides[-1]] :]
        self.body = body
        self.strides = tuple(strides)
        widths = dict(zip(_BLOCKS, body.channels, strict=True))
        self.channels = sum(widths[stride] for stride in strides)

    def forward(self, images: Tensor) -> Tensor:
        by_stride = dict(zip(_BLOCKS, self.body.of_any_size(images), strict=False))
        chosen = [by_stride[stride] for stride in self.strides]
        size = chosen[0].shape[-2:]
        larger = [
            F.interpolate(one, size=size, mode="bilinear", align_corners=False)
            for one in chosen[1:]
        ]
        return torch.cat([chosen[0], *larger], dim=1) if larger else chosen[0]


def strided_features(
    name: str, strides: Sequence[int], *, weights: str | None
) -> TimmFeatures | MobileNetV2Strides:
    """The maps of ``strides`` of the network ``name``, ``"mobilenet_v2"`` or one of timm's."""
    if name == "mobilenet_v2":
        return MobileNetV2Strides(strides, weights=weights)
    return TimmFeatures(name, strides, weights=weights)


def normalization(name: str) -> Normalize:
    """What pictures in [0, 1] go through before the network ``name``."""
    if name == "mobilenet_v2":
        return Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return Normalize(IMAGENET_MEAN, IMAGENET_STD)
