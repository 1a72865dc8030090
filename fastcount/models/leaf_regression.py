"""Leaf counting by plain regression: the baseline of Itzhaky et al. 2018, after Dobrescu et al.

Itzhaky, Farjon, Khoroshevsky, Shpigler, Bar Hillel, "Leaf counting: multiple scale regression and
detection using deep CNNs", BMVC workshops 2018, Table 3, row 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from fastcount.counting import Counting
from fastcount.models.base import CountingModel, Normalize, Target
from fastcount.models.parts.pyramid import Backbone
from fastcount.models.parts.whole_picture import (
    estimates_loss,
    scale_estimator,
    true_counts,
    whole_picture_tiling,
)
from fastcount.models.registry import register


@dataclass(frozen=True)
class LeafRegressionOutput:
    """``count``: (B,) objects in each picture. ``size``: (H, W) of the pictures in pixels."""

    count: Tensor
    size: tuple[int, int]


@register("leaf_regression")
class LeafRegression(CountingModel):
    """ResNet-50, the averages of its last maps, two dense layers, one output: the count.

    ``backbone``, ``weights``: see :class:`fastcount.models.parts.pyramid.Backbone`; nothing is
    fetched unless ``weights="imagenet"``. ``hidden``: widths of the dense layers. ``size``:
    shorter and longest side of the pictures counted, see
    :func:`fastcount.models.parts.whole_picture.whole_picture_tiling`.

    ``forward``: (B, 3, H, W) RGB in [0, 1] of any H and W to :class:`LeafRegressionOutput`.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        hidden: Sequence[int] = (1024, 512),
        size: tuple[int, int] = (800, 1333),
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, weights)
        self.normalize = Normalize(self.backbone.mean, self.backbone.std)
        self.tiling = whole_picture_tiling(size, self.backbone.mean)
        widths = [self.backbone.channels[5], *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        self.dense = nn.Sequential(*layers)
        self.last = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> LeafRegressionOutput:
        features = self.backbone(self.normalize(images))[5]
        count = self.last(self.dense(features.mean(dim=(2, 3)))).squeeze(1)
        return LeafRegressionOutput(count, (images.shape[-2], images.shape[-1]))

    def loss(self, output: LeafRegressionOutput, targets: list[Target]) -> dict[str, Tensor]:
        """Half the squared error of the count, averaged over pictures."""
        counts = true_counts(targets, output.count)
        return {"loss": estimates_loss(output.count[:, None], None, counts, "l2").sum()}

    def decode(self, output: LeafRegressionOutput) -> list[Counting]:
        """The count, at least 0: there is nothing else to tell."""
        counts = output.count.detach().float().clamp(min=0).cpu().tolist()
        return [Counting(count=count, size=output.size) for count in counts]

    def scale_counts(self, factor: float) -> None:
        scale_estimator(self.last, factor)
