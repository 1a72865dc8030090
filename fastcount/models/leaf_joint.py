"""MSR and D+R in one network, as the leaf counting paper suggests at its end.

Itzhaky, Farjon, Khoroshevsky, Shpigler, Bar Hillel, "Leaf counting: multiple scale regression and
detection using deep CNNs", BMVC workshops 2018, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcount.counting import Counting
from fastcount.models.base import CountingModel, Normalize, Target
from fastcount.models.leaf_detection import RADII, STRIDE
from fastcount.models.parts.count_fusion import Fusion, fuse_counts
from fastcount.models.parts.count_head import CountHead
from fastcount.models.parts.keypoint_head import KeypointHead, Keypoints, SoftCountForm
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

LEVELS = (3, 4, 5, 6, 7)


@dataclass(frozen=True)
class LeafJointOutput:
    """``means``, ``log_variances``: (B, 6) estimates of the five levels and, last, of the
    detector. ``count``, ``std``: (B,) the fused count and its deviation. ``keypoints``: heat maps
    of stride 8 and what was read from them. ``size``: (H, W) of the pictures in pixels."""

    means: Tensor
    log_variances: Tensor
    count: Tensor
    std: Tensor | None
    keypoints: Keypoints
    size: tuple[int, int]


@register("leaf_joint")
class LeafJoint(CountingModel):
    """One pyramid P3 to P7 for both: a shared regression head at every level, and D+R on P3.

    The detector's linear layer has a second output, the logarithm of its count's variance, so
    that its count is the sixth estimate to be fused with those of the levels. Arguments as for
    :class:`fastcount.models.leaf_msr.LeafMSR` and
    :class:`fastcount.models.leaf_detection.LeafDetection`; ``loss`` is ``"gaussian"`` or
    ``"laplacian"``.

    ``forward``: (B, 3, H, W) RGB in [0, 1] of any H and W to :class:`LeafJointOutput`.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        channels: int = 256,
        loss: CountLoss = "gaussian",
        fusion: Fusion = "min_variance",
        radii: Sequence[int] = RADII,
        window: int | None = None,
        soft_count: SoftCountForm = "paper",
        least_peak: float = 0.4,
        size: tuple[int, int] = (800, 1333),
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_count_loss(loss)
        if loss == "l2":
            raise ValueError("loss: 'l2' learns no variance to fuse by; use 'gaussian'")
        nothing = torch.zeros(1, 1)
        fuse_counts(nothing, nothing, fusion)  # refuses an unknown one
        self.loss_form, self.fusion, self.least_peak = loss, fusion, least_peak
        self.pyramid = BackbonePyramid(backbone, channels, LEVELS, weights)
        self.normalize = Normalize(self.pyramid.mean, self.pyramid.std)
        self.tiling = whole_picture_tiling(size, self.pyramid.mean)
        self.regression = CountHead(channels, outputs=2)
        self.detection = KeypointHead(channels, radii, STRIDE, window=window, form=soft_count)
        self.last = nn.Linear(channels + 1, 2)

    def forward(self, images: Tensor) -> LeafJointOutput:
        levels = self.pyramid(self.normalize(images))
        found = self.detection(levels[0])
        detected = self.last(torch.cat([found.averages, found.detected[:, None]], dim=1))
        estimates = torch.stack([*(self.regression(one) for one in levels), detected], dim=1)
        means, log_variances = estimates[..., 0], estimates[..., 1]
        count, std = fuse_counts(means, log_variances, self.fusion)
        size = (images.shape[-2], images.shape[-1])
        return LeafJointOutput(means, log_variances, count, std, found, size)

    def loss(self, output: LeafJointOutput, targets: list[Target]) -> dict[str, Tensor]:
        """Eq. 1, or its Laplacian, for each of the six estimates, plus eq. 4 for every heat map.

        Averaged over pictures, heat maps summed over cells; pictures whose target has no
        ``points`` take part in the former only. Returns ``loss`` and its summands ``level_3`` to
        ``level_7``, ``detector`` and ``heatmap_1``, ``heatmap_2``, ...
        """
        counts = true_counts(targets, output.means)
        losses = estimates_loss(output.means, output.log_variances, counts, self.loss_form)
        names = [*(f"level_{level}" for level in LEVELS), "detector"]
        parts = dict(zip(names, losses, strict=True))
        heatmaps = self.detection.loss(output.keypoints, targets, output.size)
        parts |= {f"heatmap_{i}": one for i, one in enumerate(heatmaps, start=1)}
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def decode(self, output: LeafJointOutput) -> list[Counting]:
        """The fused count, at least 0, its deviation, and the last heat map's peaks as points."""
        counts = output.count.detach().float().clamp(min=0).cpu().tolist()
        assert output.std is not None
        deviations = output.std.detach().float().cpu().tolist()
        found = self.detection.points(output.keypoints.heatmaps[-1].detach(), self.least_peak)
        return [
            Counting(
                count=count,
                size=output.size,
                std=deviation,
                points=points.cpu().numpy(),
                scores=scores.cpu().numpy(),
            )
            for count, deviation, (points, scores) in zip(counts, deviations, found, strict=True)
        ]

    def scale_counts(self, factor: float) -> None:
        scale_estimator(self.regression.last, factor)
        scale_estimator(self.last, factor)

    def scale_std(self, factor: float) -> None:
        scale_deviation(self.regression.last, factor)
        scale_deviation(self.last, factor)
