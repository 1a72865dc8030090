"""D+R: leaf counting by detection of leaf centres and regression.

Itzhaky, Farjon, Khoroshevsky, Shpigler, Bar Hillel, "Leaf counting: multiple scale regression and
detection using deep CNNs", BMVC workshops 2018, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcount.counting import Counting
from fastcount.models.base import CountingModel, Normalize, Target
from fastcount.models.parts.keypoint_head import KeypointHead, Keypoints, SoftCountForm
from fastcount.models.parts.pyramid import BackbonePyramid
from fastcount.models.parts.whole_picture import (
    scale_estimator,
    true_counts,
    whole_picture_tiling,
)
from fastcount.models.registry import register

STRIDE = 8  # of P3
RADII = (3, 3, 3, 3)


@dataclass(frozen=True)
class LeafDetectionOutput:
    """``count``: (B,) objects in each picture. ``keypoints``: heat maps of stride 8 and what was
    read from them. ``size``: (H, W) of the pictures in pixels."""

    count: Tensor
    keypoints: Keypoints
    size: tuple[int, int]


@register("leaf_detection")
class LeafDetection(CountingModel):
    """ResNet-50, P3, four convolutions with a heat map of leaf centres each, one linear layer.

    The count is linear in the soft count of the last heat map's peaks and the averages of the
    fourth convolution's maps. ``backbone``, ``channels``, ``weights``: see
    :class:`fastcount.models.parts.pyramid.BackbonePyramid`; nothing is fetched unless
    ``weights="imagenet"``. ``radii``: of the targets' Gaussians in cells of 8 pixels, see
    :class:`fastcount.models.parts.keypoint_head.KeypointHead`; the public code's are
    (3, 7, 5, 5, 3). ``soft_count``: ``"paper"``, or ``"public"`` as in that code; ``window``: cells
    a side of the soft count's windows and of the peaks', by default the last Gaussian's, as the
    paper has it (3.2.2), and 3 for the public code. ``averages``: whether the
    256 averages take part in the count. ``least_peak``: height from which on a peak of the last
    heat map is a point of the result.
    ``size``: shorter and longest side of the pictures counted, see
    :func:`fastcount.models.parts.whole_picture.whole_picture_tiling`.

    ``forward``: (B, 3, H, W) RGB in [0, 1] of any H and W to :class:`LeafDetectionOutput`.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        channels: int = 256,
        radii: Sequence[int] = RADII,
        window: int | None = None,
        soft_count: SoftCountForm = "paper",
        averages: bool = True,
        least_peak: float = 0.4,
        size: tuple[int, int] = (800, 1333),
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.least_peak, self.averages = least_peak, averages
        self.pyramid = BackbonePyramid(backbone, channels, (3,), weights)
        self.normalize = Normalize(self.pyramid.mean, self.pyramid.std)
        self.tiling = whole_picture_tiling(size, self.pyramid.mean)
        self.head = KeypointHead(channels, radii, STRIDE, window=window, form=soft_count)
        self.last = nn.Linear(1 + (channels if averages else 0), 1)

    def forward(self, images: Tensor) -> LeafDetectionOutput:
        (features,) = self.pyramid(self.normalize(images))
        found = self.head(features)
        known = found.detected[:, None]
        if self.averages:
            known = torch.cat([found.averages, known], dim=1)
        count = self.last(known).squeeze(1)
        return LeafDetectionOutput(count, found, (images.shape[-2], images.shape[-1]))

    def loss(self, output: LeafDetectionOutput, targets: list[Target]) -> dict[str, Tensor]:
        """|count - truth| averaged over pictures, plus eq. 4 for every heat map.

        Eq. 4 is summed over cells and averaged over pictures; pictures whose target has no
        ``points`` take part in the first term only. Returns ``loss`` and its summands ``count``
        and ``heatmap_1``, ``heatmap_2``, ...
        """
        counts = true_counts(targets, output.count)
        parts = {"count": (output.count.to(counts.dtype) - counts).abs().mean()}
        heatmaps = self.head.loss(output.keypoints, targets, output.size)
        parts |= {f"heatmap_{i}": one for i, one in enumerate(heatmaps, start=1)}
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def decode(self, output: LeafDetectionOutput) -> list[Counting]:
        """The regressed count, at least 0, with the peaks of the last heat map as points.

        The two need not agree: the paper found the count better than the number of peaks.
        """
        counts = output.count.detach().float().clamp(min=0).cpu().tolist()
        found = self.head.points(output.keypoints.heatmaps[-1].detach(), self.least_peak)
        return [
            Counting(
                count=count,
                size=output.size,
                points=points.cpu().numpy(),
                scores=scores.cpu().numpy(),
            )
            for count, (points, scores) in zip(counts, found, strict=True)
        ]

    def scale_counts(self, factor: float) -> None:
        scale_estimator(self.last, factor)
