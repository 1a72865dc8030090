"""The detection sub-model of leaf counting (Itzhaky et al. 2018, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from fastcount import ops
from fastcount.models.base import Target

SoftCountForm = Literal["paper", "public"]

LAYERS = 4


@dataclass(frozen=True)
class Keypoints:
    """``heatmaps``: (B, 1, h, w) each, >= 0 but in training, the final one last. ``averages``:
    (B, C) of the fourth convolution's maps. ``detected``: (B,) objects by the final heat map's
    peaks."""

    heatmaps: tuple[Tensor, ...]
    averages: Tensor
    detected: Tensor


class KeypointHead(nn.Module):
    """Four 3x3 ReLU convolutions, a heat map of object centres after each, a soft count.

    ``radii``: half width in cells of the Gaussians in each heat map's target, the final one's
    last; a Gaussian of radius r has sigma (2r + 1) / 6 and is drawn on (2r + 1)^2 cells. The
    final heat map, a 3x3 ReLU convolution to one map, reads the fourth convolution; those before
    it read the first, the second and so on: four radii give every convolution one, as in the
    paper; the public code's five are 3, 7, 5, 5, 3; a single one means no intermediate loss.
    ``window``: cells a side of the soft count's windows, odd; None: the final Gaussian's, as in
    the paper, or 3 as in the public code. ``form``: ``"paper"`` or ``"public"``, of the soft count.

    The soft count is eq. 5, spatial softmax over windows and a smooth step, summed: see
    :func:`fastcount.ops.soft_count`. The public code takes sigmoid(P - 0.4) for the heat map P
    before it.

    ``forward``: (B, ``channels``, h, w) of stride ``stride`` to :class:`Keypoints`. Raises
    ``ValueError`` for radii of another number or below 1.
    """

    def __init__(
        self,
        channels: int,
        radii: Sequence[int],
        stride: int,
        *,
        window: int | None = None,
        form: SoftCountForm = "paper",
    ) -> None:
        super().__init__()
        if form not in get_args(SoftCountForm):
            raise ValueError(f"soft_count: need paper or public, got {form!r}")
        if not 1 <= len(radii) <= LAYERS + 1 or min(radii) < 1:
            raise ValueError(
                f"radii: need 1 to {LAYERS + 1} whole numbers of cells, at least 1 each, "
                f"got {radii!r}"
            )
        self.radii, self.stride = tuple(radii), stride
        self.form = form
        usual = 2 * self.radii[-1] + 1 if form == "paper" else 3
        self.window = usual if window is None else window
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True))
            for _ in range(LAYERS)
        )
        self.heatmaps = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for _ in radii)
        for convolution in self.heatmaps:
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            nn.init.normal_(convolution.weight, std=0.01)
            nn.init.constant_(convolution.bias, 0.05)  # above zero, or its ReLU never wakes

    def forward(self, features: Tensor) -> Keypoints:
        maps = []
        x = features
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        sources = [*maps[: len(self.radii) - 1], maps[-1]]
        heatmaps = tuple(
            self._rectified(convolution(source))
            for convolution, source in zip(self.heatmaps, sources, strict=True)
        )
        last = heatmaps[-1] if self.form == "paper" else torch.sigmoid(heatmaps[-1] - 0.4)
        _, detected = ops.soft_count(last, kernel_size=self.window)
        return Keypoints(heatmaps, maps[-1].mean(dim=(2, 3)), detected.squeeze(1))

    def _rectified(self, heatmap: Tensor) -> Tensor:
        """ReLU. In training negative values come through at a tenth, so that a map that has fallen
        to zero everywhere, as most cells want it to, still learns where it should not be."""
        return leaky_relu(heatmap, 0.1) if self.training else torch.relu(heatmap)

    def loss(self, found: Keypoints, targets: list[Target], size: tuple[int, int]) -> list[Tensor]:
        """Eq. 4 with w = 0.1 for each heat map: summed over cells, averaged over pictures.

        Only over the pictures whose target has ``points``; 0 where none has. ``size``: (H, W) in
        pixels of the pictures.
        """
        known = [i for i, target in enumerate(targets) if "points" in target]
        if not known:  # zeros that every weight has its part in, as distributed training wants
            return [heatmap[:0].sum() for heatmap in found.heatmaps]
        device = found.averages.device
        points = [targets[i]["points"].to(device, torch.float32) for i in known]
        losses = []
        for radius, heatmap in zip(self.radii, found.heatmaps, strict=True):
            with torch.no_grad():
                truth = self.target(points, size, radius)
            chosen = heatmap if len(known) == len(targets) else heatmap[known]
            loss = ops.weighted_smooth_l1(chosen, truth.to(chosen.dtype), weight=0.1)
            losses.append(loss / len(targets))
        return losses

    def target(self, points: list[Tensor], size: tuple[int, int], radius: int) -> Tensor:
        """(B, 1, ceil(H / stride), ceil(W / stride)): a peak of 1 for every point inside."""
        sigma = (2 * radius + 1) / 6
        return ops.gaussian_heatmap(
            points, size, sigma, stride=self.stride, truncate=radius / sigma
        )

    def points(self, heatmap: Tensor, least: float) -> list[tuple[Tensor, Tensor]]:
        """For each picture the peaks of (B, 1, h, w): x, y (N, 2) in its pixels, and heights (N,).

        A peak is the highest cell of the soft count's window around it, where eq. 5's map can be
        active; those below its threshold of 0.8 hardly take part in the soft count. A target's
        point is rounded to cell x / stride, so a cell stands for x = cell * stride.
        """
        peaks = ops.find_peaks(heatmap.float(), kernel_size=self.window, threshold=least)
        return [
            (peaks.points[peaks.batch == i] * self.stride, peaks.scores[peaks.batch == i])
            for i in range(len(heatmap))
        ]
