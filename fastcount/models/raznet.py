"""RAZ-Net: recurrent attentive zooming (Liu et al., CVPR 2019).

Main-Net has three branches: a density map, the points themselves, and an attention map that is
high where points are close together. The most crowded regions are enlarged twice and given to a
second network, which finds points and attention again, and so on; what it finds replaces what
Main-Net found there. Density and points are fused to one count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from fastcount import ops
from fastcount.counting import Counting
from fastcount.losses.localization import attention_loss, density_rmse_loss, localization_loss
from fastcount.losses.precision import at_least_float32
from fastcount.models.base import CountingModel, Target, require_one_each
from fastcount.models.neighbour_sigma import NeighbourSigma, Sigma, check_sigma
from fastcount.models.parts import grid_fusion, zooming
from fastcount.models.parts.density_regression import kernel_widths
from fastcount.models.parts.raz_branches import (
    AttentionBranch,
    CountingBranch,
    LocalizationBranch,
    enlarged,
)
from fastcount.models.parts.region_proposals import propose_regions
from fastcount.models.parts.strided_features import (
    MobileNetV2Strides,
    normalization,
    strided_features,
)
from fastcount.models.parts.timm_features import TimmFeatures
from fastcount.models.parts.vgg_frontend import VGGFrontEnd
from fastcount.models.parts.zooming import Located
from fastcount.models.registry import register
from fastcount.runtime.tiling import Tiling

Stage = Literal["counting", "localization", "attention", "main", "zoom"]
Report = Literal["density", "localization", "average", "fusion"]

# The parts that each stage trains; all others are as the stage found them.
_TRAINED: dict[str, tuple[str, ...]] = {
    "counting": ("backbone", "counting"),
    "localization": ("localization",),
    "attention": ("attention",),
    "main": ("backbone", "counting", "localization", "attention"),
    "zoom": ("zoom",),
}
_REPORTED: dict[str, Report] = {"counting": "density", "localization": "localization"}
# The paper's kernel is exp(-d^2 / s^2), ours exp(-d^2 / (2 sigma^2)).
_KERNELS = NeighbourSigma(k=4, beta=0.1 / math.sqrt(2))


@dataclass(frozen=True)
class RAZNetOutput:
    """What Main-Net says of a batch, and the pictures, parts of which are looked at again.

    ``images``: the input. ``density``: (B, 1, ceil(H/8), ceil(W/8)) objects a cell. ``logits``
    and ``attention``: (B, 1, H, W), before the sigmoid, of a point being at a pixel and of how
    crowded it is; None in stages that do not need them.
    """

    images: Tensor
    density: Tensor
    logits: Tensor | None
    attention: Tensor | None

    @property
    def count(self) -> Tensor:
        """(B,) the sum of the density map, in float32."""
        return self.density.sum(dim=(1, 2, 3), dtype=torch.float32)


def _backbone(
    name: str, *, width: float, weights: str | None
) -> VGGFrontEnd | TimmFeatures | MobileNetV2Strides:
    if name == "vgg16":
        return VGGFrontEnd(width=width, weights=weights)
    return strided_features(name, (8, 16), weights=weights)


class ZoomNet(nn.Module):
    """Main-Net without the counting branch: (B, 3, H, W) to the logits of points and attention."""

    def __init__(self, backbone: str, *, width: float, weights: str | None) -> None:
        super().__init__()
        self.normalize = normalization(backbone)
        self.backbone = _backbone(backbone, width=width, weights=weights)
        self.localization = LocalizationBranch(self.backbone.channels, width=width)
        self.attention = AttentionBranch(self.localization.channels, width=width)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        size = (images.shape[-2], images.shape[-1])
        rich, logits = self.localization(self.backbone(self.normalize(images)), size)
        return logits, self.attention(rich.detach())


@register("raznet")
class RAZNet(CountingModel):
    """Main-Net and, in stage ``"zoom"``, the zooming RAZ-Net.

    ``stage``: what is trained. The paper trains one after the other ``"counting"`` (with the
    backbone), ``"localization"``, ``"attention"``, then ``"zoom"``; each stage starts from the
    file of the one before and leaves all it does not train as it is, to the bit. ``"main"``
    trains Main-Net's three branches at once. A zooming network that finds no weights of its own
    in the state it loads starts from a copy of Main-Net's.
    ``depth``: networks that look at a place, as Table 4 numbers them: 1 is Main-Net alone, n has
    n - 1 zooms; 2 by default in stage ``"zoom"``, where all zooms share one network, else 1.
    ``report``: what :meth:`decode` counts: ``"density"``; ``"localization"``, the number of
    points; ``"average"`` of both; ``"fusion"``, eq. 4. By default what the stage can tell.
    ``backbone``: ``"vgg16"``, the paper's, ``"mobilenet_v2"``, or a name of timm's, whose maps of
    strides 8 and 16 are used. ``width`` multiplies the channels of the branches, and of
    ``vgg16``. ``sigma``: kernel width in pixels of the density's target, or ``"adaptive"`` for
    the paper's 0.1 x mean distance to the four nearest; a target that brings ``sigma`` is drawn
    with that.
    ``weights="imagenet"`` starts the backbone from ImageNet's weights, as the paper does; for
    ``"mobilenet_v2"`` it is the path of an 8-bit TensorFlow Lite file, with which its stem and
    first three blocks are frozen.

    The paper trains with momentum 0.95 and learning rate 1e-4, halved on a plateau. ``theta``
    (4, 4) decides the fusion; until :meth:`fit_fusion` has estimated it, it is infinite, which
    makes the fusion an average.

    ``forward``: (B, 3, H, W) RGB in [0, 1], any H and W, to :class:`RAZNetOutput`. Pictures
    larger than a tile are cut, and regions, grid and fusion are then those of each tile.

    Raises ``ValueError`` for an unknown ``stage`` or ``report``, one that the stage cannot tell,
    a ``depth`` below 1 or, without a zooming network, above.
    """

    stride = 8
    tiling = Tiling(mode="overlap", tile=(1024, 1024), margin=160, align=8)
    theta: Tensor

    def __init__(
        self,
        *,
        stage: Stage = "counting",
        depth: int | None = None,
        report: Report | None = None,
        backbone: str = "vgg16",
        width: float = 1.0,
        sigma: Sigma = "adaptive",
        gamma: float = 100.0,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if stage not in _TRAINED:
            raise ValueError(f"stage: need one of {', '.join(_TRAINED)}, got {stage!r}")
        check_sigma(sigma)
        self.kernels = _KERNELS if isinstance(sigma, str) else None
        self.stage, self.sigma, self.gamma = stage, sigma, gamma
        self.normalize = normalization(backbone)
        self.backbone = _backbone(backbone, width=width, weights=weights)
        channels = self.backbone.channels
        pretrained = weights is not None and backbone == "vgg16"
        self.counting = CountingBranch(channels, width=width, pretrained=pretrained)
        self.localization = LocalizationBranch(channels, width=width)
        rich = self.localization.channels
        self.attention = AttentionBranch(2 * rich, width=width)
        self.zoom = ZoomNet(backbone, width=width, weights=weights) if stage == "zoom" else None
        self.register_buffer("theta", torch.full((grid_fusion.GRID,) * 2, torch.inf))
        self.depth = (2 if self.zoom else 1) if depth is None else depth
        self.report: Report = report or _REPORTED.get(stage, "fusion")
        self._check_options()
        for name, part in self.named_children():
            if name not in _TRAINED[stage]:
                part.requires_grad_(False)
        self.register_load_state_dict_pre_hook(_start_zoom_from_main)  # type: ignore[no-untyped-call]
        if self.zoom is not None:
            state = self.state_dict()
            self.load_state_dict({k: v for k, v in state.items() if not k.startswith("zoom.")})

    def _check_options(self) -> None:
        if self.depth < 1 or (self.depth > 1 and self.zoom is None):
            raise ValueError(
                f"depth: got {self.depth}; need 1 (Main-Net alone), or more in stage 'zoom'"
            )
        if self.report not in get_args(Report):
            raise ValueError(
                f"report: need one of {', '.join(get_args(Report))}, got {self.report!r}"
            )
        if self.stage == "counting" and self.report != "density":
            raise ValueError(
                f"report: stage 'counting' can tell the density only, not {self.report!r}"
            )

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module``'s; parts that the stage does not train stay in evaluation mode, or
        their batch norms would still learn."""
        super().train(mode)
        for name, part in self.named_children():
            if name not in _TRAINED[self.stage]:
                part.eval()
        return self

    def forward(self, images: Tensor) -> RAZNetOutput:
        size = (images.shape[-2], images.shape[-1])
        features = self.backbone(self.normalize(images))
        crowd, density = self.counting(features)
        if self.stage == "counting":
            return RAZNetOutput(images, density, None, None)
        rich, logits = self.localization(features, size)
        if self.stage == "localization":
            return RAZNetOutput(images, density, logits, None)
        # The attention borrows these features: learning it does not change them.
        borrowed = torch.cat([rich.detach(), enlarged(crowd.detach(), size)], dim=1)
        return RAZNetOutput(images, density, logits, self.attention(borrowed))

    # Training

    def loss(self, output: RAZNetOutput, targets: list[Target]) -> dict[str, Tensor]:
        """Of what the stage trains: ``density`` (eq. 1), ``localization`` (eq. 3), ``attention``,
        see :mod:`fastcount.losses.localization`; ``loss`` is their sum.

        In stage ``"zoom"`` the last two, over the regions that Main-Net's attention proposes,
        mean over regions; all 0 where it proposes none.
        """
        require_one_each(targets, output.images)
        device = output.images.device
        points = [target["points"].to(device, torch.float32) for target in targets]
        if self.stage == "zoom":
            parts = self._zoom_loss(output, points)
        else:
            parts = {}
            if self.stage in ("counting", "main"):
                sigmas = kernel_widths(targets, points, self.sigma, self.kernels)
                size = (output.images.shape[-2], output.images.shape[-1])
                truth = ops.density_map(points, size, sigma=sigmas, stride=self.stride)
                parts["density"] = density_rmse_loss(at_least_float32(output.density), truth)
            if self.stage in ("localization", "main"):
                assert output.logits is not None
                parts["localization"] = self._localization_loss(output.logits, points)
            if self.stage in ("attention", "main"):
                assert output.attention is not None
                parts["attention"] = _attention_loss(output.attention, points)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _localization_loss(self, logits: Tensor, points: list[Tensor]) -> Tensor:
        label = ops.cross_label(points, (logits.shape[-2], logits.shape[-1]))
        return localization_loss(at_least_float32(logits), label, gamma=self.gamma)

    def _zoom_loss(self, output: RAZNetOutput, points: list[Tensor]) -> dict[str, Tensor]:
        assert self.zoom is not None
        assert output.attention is not None
        # Nothing to look at is no error, but every weight must have a gradient.
        none = torch.stack([weight.sum() for weight in self.zoom.parameters()]).sum() * 0
        sums, number = {"localization": none, "attention": none.clone()}, 0
        attention = output.attention.detach().float().sigmoid()
        for image, own, crowded in zip(output.images, points, attention, strict=True):
            regions = propose_regions(crowded[0])
            for chosen, large in zooming.zoomed_batches(image, regions):
                inside = [zooming.into_region(own, regions[i]) for i in chosen]
                logits, again = self.zoom(large)
                located = self._localization_loss(logits, inside)
                sums["localization"] = sums["localization"] + len(chosen) * located
                sums["attention"] = sums["attention"] + len(chosen) * _attention_loss(again, inside)
                number += len(chosen)
        return {name: total / max(number, 1) for name, total in sums.items()}

    # Counting

    @torch.no_grad()
    def locate(self, output: RAZNetOutput, depth: int | None = None) -> list[Located]:
        """The points of each picture after ``depth`` networks, the model's own by default.

        Peaks of at least 0.5 of the logits' sigmoid, averaged over 3 x 3 pixels. At each depth
        up to ten regions of every region are looked at; where the attention is low none is, so
        the zooming ends by itself. Raises ``ValueError`` in stage ``"counting"``, and for a
        ``depth`` that the stage does not have.
        """
        depth = self.depth if depth is None else depth
        if output.logits is None:
            raise ValueError("output: stage 'counting' has no points; train 'localization' next")
        if depth < 1 or (depth > 1 and self.zoom is None):
            raise ValueError(f"depth: stage {self.stage!r} has depth 1 only, got {depth}")
        return self._locate(output.images, output.logits, output.attention, depth)

    def _locate(
        self, images: Tensor, logits: Tensor, attention: Tensor | None, depth: int
    ) -> list[Located]:
        peaks = ops.find_peaks(logits.float().sigmoid(), threshold=0.5, smooth=3)
        found = [
            Located(peaks.points[peaks.batch == i], peaks.scores[peaks.batch == i])
            for i in range(len(images))
        ]
        if depth == 1 or self.zoom is None or attention is None:
            return found
        for i, crowded in enumerate(attention.float().sigmoid()):
            regions = propose_regions(crowded[0])
            inner: dict[int, Located] = {}
            for chosen, large in zooming.zoomed_batches(images[i], regions):
                logits_again, attention_again = self.zoom(large)
                seen = self._locate(large, logits_again, attention_again, depth - 1)
                for number, (points, scores) in zip(chosen, seen, strict=True):
                    back = zooming.out_of_region(points, regions[number])
                    inner[number] = Located(back, scores)
            ordered = [inner[number] for number in range(len(regions))]
            found[i] = zooming.replace_inside(found[i], regions, ordered)
        return found

    def located_map(self, found: list[Located], output: RAZNetOutput) -> Tensor:
        """(B, 1, ceil(H/8), ceil(W/8)) float32: the points ``found`` in each cell."""
        size = (output.density.shape[-2], output.density.shape[-1])
        return grid_fusion.points_per_cell([one.points for one in found], size, self.stride)

    def fit_fusion(self, density: Tensor, located: Tensor, truth: Tensor) -> None:
        """Sets ``theta`` from counts (N, 4, 4) of the training pictures, as
        :func:`fastcount.models.parts.grid_fusion.grid_counts` makes them."""
        theta = grid_fusion.estimate_theta(density, located, truth)
        self.theta.copy_(theta)

    @torch.no_grad()
    def decode(self, output: RAZNetOutput) -> list[Counting]:
        """The count that ``report`` names, and the points but for ``report="density"``.

        The density of a fusion is the fused one: its sum is the count.
        """
        size = (output.images.shape[-2], output.images.shape[-1])
        density = output.density.float()
        if self.report == "density":
            found: list[Located] | list[None] = [None] * len(density)
            maps: Tensor | None = density
        else:
            found = self.locate(output)
            maps = None
            if self.report != "localization":
                located = self.located_map(found, output)
                average = torch.full_like(self.theta, torch.inf)
                theta = self.theta if self.report == "fusion" else average
                maps = grid_fusion.fuse(density, located, theta)
        results = []
        for i, one in enumerate(found):
            points = None if one is None else one.points.float().cpu().numpy()
            scores = None if one is None else one.scores.float().cpu().numpy()
            own = None if maps is None else maps[i, 0].cpu().numpy()
            count = float(len(one.points)) if one is not None else 0.0
            results.append(
                Counting(
                    count=count if own is None else float(own.sum()),
                    size=size,
                    density=own,
                    stride=None if own is None else self.stride,
                    points=points,
                    scores=scores,
                )
            )
        return results


def _attention_loss(logits: Tensor, points: list[Tensor]) -> Tensor:
    truth = ops.attention_map(points, (logits.shape[-2], logits.shape[-1]), k=3, sigma=3.0)
    return attention_loss(at_least_float32(logits), truth)


def _start_zoom_from_main(
    model: nn.Module, state: dict[str, Any], prefix: str, *unused: object
) -> None:
    """Gives a zooming network without weights in a state being loaded a copy of Main-Net's."""
    assert isinstance(model, RAZNet)
    if model.zoom is None or any(key.startswith(f"{prefix}zoom.") for key in state):
        return
    for key, own in model.zoom.state_dict().items():
        value = state.get(prefix + key)
        if value is not None:
            # The attention's first convolution has no counting features to see here.
            copied = value[:, : own.shape[1]] if value.ndim == 4 else value
            state[f"{prefix}zoom.{key}"] = copied.clone()
