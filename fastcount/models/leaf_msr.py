"""MSR: leaf counting by regression at several scales, each with its own uncertainty.

Itzhaky, Farjon, Khoroshevsky, Shpigler, Bar Hillel, "Leaf counting: multiple scale regression and
detection using deep CNNs", BMVC workshops 2018, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastcount.counting import Counting
from fastcount.models.base import CountingModel, Normalize, Target
from fastcount.models.parts.count_fusion import Fusion, fuse_counts
from fastcount.models.parts.count_head import CountHead
from fastcount.models.parts.pyramid import BackbonePyramid
from fastcount.models.parts.whole_picture import (
    CountLoss,
    check_count_loss,
    estimates_loss,
    scale_deviation,
    scale_estimator,
    true_counts,
    whole_picture_tiling,
)
from fastcount.models.registry import register


@dataclass(frozen=True)
class LeafMSROutput:
    """``means``: (B, J) counts, one from each level. ``log_variances``: (B, J) logarithms of
    their variances, None for ``loss="l2"``. ``count``, ``std``: (B,) the fused count and its
    deviation, None where there are no variances. ``size``: (H, W) of the pictures in pixels."""

    means: Tensor
    log_variances: Tensor | None
    count: Tensor
    std: Tensor | None
    size: tuple[int, int]


@register("leaf_msr")
class LeafMSR(CountingModel):
    """ResNet-50, a pyramid P3 to P7, one head shared by all levels, and a fusion of their counts.

    ``backbone``, ``channels``, ``levels``, ``weights``: see
    :class:`fastcount.models.parts.pyramid.BackbonePyramid`; nothing is fetched unless
    ``weights="imagenet"``. ``loss``: ``"gaussian"`` is the paper's eq. 1, ``"laplacian"`` its
    suggested next step; ``"l2"`` learns no variance. ``fusion``: see
    :func:`fastcount.models.parts.count_fusion.fuse_counts`; the paper's default is eq. 2; it
    may be changed after training. ``size``: shorter and longest side of the pictures counted, see
    :func:`fastcount.models.parts.whole_picture.whole_picture_tiling`.

    ``forward``: (B, 3, H, W) RGB in [0, 1] of any H and W to :class:`LeafMSROutput`. Raises
    ``ValueError`` for ``loss="l2"`` with another fusion than ``"average"``.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        channels: int = 256,
        levels: tuple[int, ...] = (3, 4, 5, 6, 7),
        loss: CountLoss = "gaussian",
        fusion: Fusion = "min_variance",
        size: tuple[int, int] = (800, 1333),
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_count_loss(loss)
        nothing = torch.zeros(1, 1)
        fuse_counts(nothing, None if loss == "l2" else nothing, fusion)  # refuses what does not fit
        self.loss_form, self.fusion = loss, fusion
        self.pyramid = BackbonePyramid(backbone, channels, tuple(levels), weights)
        self.normalize = Normalize(self.pyramid.mean, self.pyramid.std)
        self.tiling = whole_picture_tiling(size, self.pyramid.mean)
        self.head = CountHead(channels, outputs=1 if loss == "l2" else 2)

    def forward(self, images: Tensor) -> LeafMSROutput:
        levels = self.pyramid(self.normalize(images))
        estimates = torch.stack([self.head(features) for features in levels], dim=1)
        means = estimates[..., 0]
        log_variances = None if self.loss_form == "l2" else estimates[..., 1]
        count, std = fuse_counts(means, log_variances, self.fusion)
        return LeafMSROutput(means, log_variances, count, std, (images.shape[-2], images.shape[-1]))

    def loss(self, output: LeafMSROutput, targets: list[Target]) -> dict[str, Tensor]:
        """The loss of each level's own estimate, eq. 1, averaged over pictures, summed over levels.

        Returns ``loss`` and its summands ``level_3`` to ``level_7``.
        """
        counts = true_counts(targets, output.means)
        losses = estimates_loss(output.means, output.log_variances, counts, self.loss_form)
        parts = {
            f"level_{level}": one for level, one in zip(self.pyramid.levels, losses, strict=True)
        }
        return {"loss": losses.sum(), **parts}

    def decode(self, output: LeafMSROutput) -> list[Counting]:
        """The fused count, at least 0, with its standard deviation where one was learned."""
        counts = output.count.detach().float().clamp(min=0).cpu().tolist()
        if output.std is None:
            return [Counting(count=count, size=output.size) for count in counts]
        deviations = output.std.detach().float().cpu().tolist()
        return [
            Counting(count=count, size=output.size, std=std)
            for count, std in zip(counts, deviations, strict=True)
        ]

    def scale_counts(self, factor: float) -> None:
        scale_estimator(self.head.last, factor)

    def scale_std(self, factor: float) -> None:
        if self.loss_form == "l2":
            super().scale_std(factor)
        scale_deviation(self.head.last, factor)
