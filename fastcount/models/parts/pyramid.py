"""Backbones of classification and the feature pyramid on top of them (Lin et al. 2017)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from fastcount.models.parts.mobilenet_v2 import MobileNetV2Features, load_tflite
from fastcount.models.parts.timm_features import feature_network

Coarse = Literal["C5", "P5", "pool"]

_DEEPEST = 5  # the coarsest level that a backbone itself has: C5, stride 32


class Backbone(nn.Module):
    """The feature maps C2..C5 of a classification network, those that it has of them.

    ``name``: any network of timm's that yields features (``"resnet50"``,
    ``"mobilenetv3_small_100"``), or ``"mobilenet_v2"``, this package's own. ``weights``: None
    starts at random; ``"imagenet"`` fetches timm's; for ``"mobilenet_v2"`` the path of an 8-bit
    TensorFlow Lite file, with which its stem and first three blocks are frozen. ``channels``: of
    each map by its level. ``mean``, ``std``: what pictures in [0, 1] must be normalised with.

    ``forward``: (B, 3, H, W), normalised, to the maps (B, ``channels[l]``, H/2^l, W/2^l) by level,
    sides rounded up.

    Raises ``ValueError`` for a name that timm does not know, a network without a map of stride
    32, and weights of another kind.
    """

    channels: dict[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __init__(self, name: str = "resnet50", weights: str | None = None) -> None:
        super().__init__()
        if name == "mobilenet_v2":
            # Blocks learned from a million pictures are not to be spoilt by a few hundred.
            features = MobileNetV2Features(frozen=0 if weights is None else 4, fine=True)
            if weights is not None:
                load_tflite(features, weights)
            self.body: nn.Module = features
            self.mean = self.std = (0.5, 0.5, 0.5)
            self.channels = dict(zip((2, 3, 4, 5), features.channels, strict=True))
            self._places = {2: 0, 3: 1, 4: 2, 5: 3}
            return
        body = feature_network(name, weights)
        self.body = body
        info = body.feature_info
        strides, widths = info.reduction(), info.channels()
        self._places = {
            stride.bit_length() - 1: place for place, stride in enumerate(strides) if stride > 2
        }
        if max(self._places, default=0) != _DEEPEST:
            raise ValueError(f"backbone: {name} has maps of strides {strides}; need one of 32")
        self.channels = {level: widths[place] for level, place in self._places.items()}
        red, green, blue = body.pretrained_cfg["mean"]
        self.mean = (red, green, blue)
        red, green, blue = body.pretrained_cfg["std"]
        self.std = (red, green, blue)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        body = self.body
        maps = body.of_any_size(images) if isinstance(body, MobileNetV2Features) else body(images)
        return {level: maps[place] for level, place in self._places.items()}


class BackbonePyramid(nn.Module):
    """A backbone and its feature pyramid: maps of one width at every level.

    Levels up to 5 are the backbone's maps, summed top-down and smoothed (torchvision's
    ``FeaturePyramidNetwork``). ``coarse`` says how those beyond are made: P6 by a 3x3 convolution
    of stride 2 on ``"C5"``, as in RetinaNet, or on ``"P5"``, as in FCOS, and every further level
    by one on the ReLU of the level before; by ``"pool"``, as in Faster R-CNN, every second cell
    of the level before. ``backbone`` and ``weights`` as for :class:`Backbone`, whose ``mean`` and
    ``std`` it passes on; ``channels``: of every map; ``levels``: those to give, rising.

    ``forward``: (B, 3, H, W), normalised, to one map (B, ``channels``, H/2^l, W/2^l) for each
    level l, sides rounded up.

    Raises ``ValueError`` for levels that do not rise or begin outside the backbone's.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        channels: int = 256,
        levels: tuple[int, ...] = (3, 4, 5, 6, 7),
        weights: str | None = None,
        coarse: Coarse = "C5",
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, weights)
        self.mean, self.std = self.backbone.mean, self.backbone.std
        self.levels = tuple(levels)
        rising = list(self.levels) == sorted(set(self.levels))
        if not rising or not self.levels or self.levels[0] not in self.backbone.channels:
            raise ValueError(
                f"levels: need rising numbers from one of {sorted(self.backbone.channels)} on, "
                f"got {levels}"
            )
        self.coarse = coarse
        self._inner = range(self.levels[0], _DEEPEST + 1)
        self._beyond = range(_DEEPEST + 1, self.levels[-1] + 1)
        self.fpn = FeaturePyramidNetwork([self.backbone.channels[i] for i in self._inner], channels)
        for place, level in enumerate(self._inner):
            goes_on = level == _DEEPEST and len(self._beyond) > 0 and coarse != "C5"
            if level not in self.levels and not goes_on:  # its sum alone is needed, further down
                self.fpn.layer_blocks[place] = nn.Identity()
        inputs = self.backbone.channels[_DEEPEST] if coarse == "C5" else channels
        self.further = nn.ModuleList()
        for _ in self._beyond if coarse != "pool" else ():
            self.further.append(nn.Conv2d(inputs, channels, 3, stride=2, padding=1))
            inputs = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.backbone(images)
        named = OrderedDict((str(level), features[level]) for level in self._inner)
        maps = {int(name): one for name, one in self.fpn(named).items()}
        x = features[_DEEPEST] if self.coarse == "C5" else maps[_DEEPEST]
        for step, level in enumerate(self._beyond):
            if self.coarse == "pool":
                x = x[..., ::2, ::2]
            else:
                x = self.further[step](F.relu(x) if step else x)
            maps[level] = x
        return [maps[level] for level in self.levels]
