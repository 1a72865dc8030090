"""CountSeg: object counts and instance masks from image-level counts (Cholakkal et al., CVPR 2019).

One branch tells which classes are there, the other draws a density map for each. Nothing but the
counts of a picture is learned from, and of those only 0 to 4; what is more is "more than four".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastcount.counting import Counting
from fastcount.losses import countseg as losses
from fastcount.losses.precision import at_least_float32
from fastcount.models.base import CountingModel, Target, require_one_each
from fastcount.models.parts.mask_proposals import propose_masks
from fastcount.models.parts.mask_scoring import score_proposals, without_doubles
from fastcount.models.parts.peak_response import peak_responses
from fastcount.models.parts.strided_features import normalization, strided_features
from fastcount.models.registry import register
from fastcount.ops.find_peaks import Peaks
from fastcount.runtime.tiling import Tiling

TERMS = ("class", "spatial", "mse", "rank")


@dataclass(frozen=True)
class CountSegOutput:
    """``category``: (B, C, h, w), how sure a cell is of each class. ``density``: (B, C, h, w)
    objects a cell, of 32 pixels, of pictures of ``size`` (H, W). ``form``: see
    :class:`CountSeg`."""

    category: Tensor
    density: Tensor
    size: tuple[int, int]
    form: losses.CountSegForm = "paper"

    @property
    def scores(self) -> Tensor:
        """(B, C): above 0 where a class is there; mean of the peaks of its category map."""
        return losses.class_scores(self.category.float(), self.form)

    @property
    def counts(self) -> Tensor:
        """(B, C) >= 0: the sum of each class's density, 0 for a class that is not there."""
        total = self.density.sum(dim=(2, 3), dtype=torch.float32).clamp(min=0)
        return total * (self.scores > 0)  # a product: what is not a number stays so

    @property
    def count(self) -> Tensor:
        """(B,) objects of all classes."""
        return self.counts.sum(dim=1)


@dataclass(frozen=True)
class Instances:
    """Objects of one picture, the surest first.

    ``masks``: (N, H, W) bool. ``labels``: (N,) int64. ``scores``: (N,), eq. 9. ``points``: (N, 2)
    x, y in pixel indices of the centre of each one's peak cell.
    """

    masks: Tensor
    labels: Tensor
    scores: Tensor
    points: Tensor


def _backbone(name: str, weights: str | None) -> tuple[nn.Module, int]:
    """Features of stride 32 and their channels."""
    if name != "resnet50":
        features = strided_features(name, (32,), weights=weights)
        return features, features.channels
    if weights not in (None, "imagenet"):
        raise ValueError(
            f"weights: only 'imagenet' can be fetched, got {weights!r}; "
            "a saved model is loaded with fastcount.models.checkpoint.load_model"
        )
    from torchvision.models import ResNet50_Weights, resnet50

    network = resnet50(weights=None if weights is None else ResNet50_Weights.IMAGENET1K_V1)
    layers = OrderedDict(network.named_children())
    channels: int = layers.pop("fc").in_features
    del layers["avgpool"]
    return nn.Sequential(layers), channels


@register("countseg")
class CountSeg(CountingModel):
    """ResNet-50 without pooling, a 1x1 convolution to 2P channels, half of them for each branch.

    ``form``: ``"paper"``, or ``"public"`` as its authors' code has it: the count is the mean of
    what the density branch draws, not the sum; a peak of a category map must reach the map's
    median; and each peak receives the whole gradient of the mean over peaks.
    ``classes``: their names, in the order of the data set's labels. ``stage``: 1 leaves out the
    spatial losses, whose truth the class branch must first be able to tell; 2 has all.
    ``terms``: which losses there are, of class, spatial, mse and rank; the paper's Table 2 leaves
    some out. ``rank_weight``: lambda. ``negatives``: share of the absent classes that the density
    learns from, drawn anew for every picture; the paper takes 0.1 for COCO's 80 classes.
    ``channels``: P of each branch, 1.5 x classes by default (rounded up); for few classes give
    more. ``backbone``: ``"resnet50"``, the paper's, ``"mobilenet_v2"``, or a name of timm's, whose
    map of stride 32 is used. ``weights="imagenet"`` starts the backbone from ImageNet's weights,
    as the paper does; for ``"mobilenet_v2"`` it is the path of an 8-bit TensorFlow Lite file, with
    which its stem and first three blocks are frozen.

    The paper trains with SGD, momentum 0.9, weight decay 1e-4, 16 pictures a step, learning rate
    1e-4 for the backbone and 1e-2 for the rest. A picture is scaled to fit ``size`` x ``size``
    pixels, a multiple of 32.

    ``forward``: (B, 3, H, W) RGB in [0, 1] to :class:`CountSegOutput`; 448 x 448 gives 14 x 14.

    Raises ``ValueError`` for no classes, an unknown ``stage`` or term, ``negatives`` outside
    0 to 1, and a ``size`` that is no multiple of 32.
    """

    stride = 32

    def __init__(
        self,
        *,
        form: losses.CountSegForm = "paper",
        classes: Sequence[str] = ("object",),
        stage: Literal[1, 2] = 2,
        terms: Sequence[str] = TERMS,
        rank_weight: float = 0.1,
        negatives: float = 1.0,
        channels: int | None = None,
        backbone: str = "resnet50",
        size: int = 448,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if not classes or isinstance(classes, str):
            raise ValueError(f"classes: need a list of names, got {classes!r}")
        if form not in get_args(losses.CountSegForm):
            raise ValueError(f"form: need paper or public, got {form!r}")
        if stage not in (1, 2):
            raise ValueError(f"stage: need 1 or 2, got {stage!r}")
        if not terms or not set(terms) <= set(TERMS):
            raise ValueError(f"terms: need some of {', '.join(TERMS)}, got {list(terms)}")
        if not 0 <= negatives <= 1:
            raise ValueError(f"negatives: need a share of 0 to 1, got {negatives}")
        if size < self.stride or size % self.stride:
            raise ValueError(f"size: need a multiple of {self.stride} pixels, got {size}")
        self.tiling = Tiling(mode="resize", tile=(size, size), align=self.stride)
        self.form = form
        self.classes = tuple(classes)
        self.terms = tuple(term for term in terms if stage == 2 or term != "spatial")
        self.rank_weight, self.negatives = rank_weight, negatives
        number = len(self.classes)
        own = -(-3 * number // 2) if channels is None else channels
        self.normalize = normalization(backbone)
        self.backbone, before = _backbone(backbone, weights)
        self.halves = nn.Conv2d(before, 2 * own, 1)
        self.category = _branch(own, number)
        self.density = _branch(own, number)

    def forward(self, images: Tensor) -> CountSegOutput:
        features = self.halves(self.backbone(self.normalize(images)))
        first, second = features.chunk(2, dim=1)
        size = (images.shape[-2], images.shape[-1])
        density = self.density(second)
        if self.form == "public":  # whose count is the map's mean
            density = density / (density.shape[-2] * density.shape[-1])
        return CountSegOutput(self.category(first), density, size, self.form)

    def target_counts(self, targets: list[Target]) -> Tensor:
        """(B, C) int64: the objects of each class.

        From ``labels``; a model of one class takes ``count`` where there are none. Raises
        ``ValueError`` where labels are missing or of a class that the model does not have.
        """
        number, rows = len(self.classes), []
        for target in targets:
            if "labels" in target:
                labels = target["labels"].cpu()
                if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < number:
                    raise ValueError(
                        f"labels: found {sorted(set(labels.tolist()))} for a model of {number} "
                        "classes; give it the data set's classes"
                    )
                rows.append(torch.bincount(labels, minlength=number))
            elif number == 1:
                rows.append(torch.tensor([round(target["count"])]))
            else:
                raise ValueError(f"targets: a model of {number} classes needs labels")
        return torch.stack(rows)

    def loss(self, output: CountSegOutput, targets: list[Target]) -> dict[str, Tensor]:
        """L_class + L_spatial + L_MSE + lambda L_rank (eq. 1, 4 to 7), see
        :mod:`fastcount.losses.countseg`.

        Counts are cut at five before anything sees them. Returns ``loss`` and its summands.
        """
        require_one_each(targets, output.density)
        counts = losses.lower_counts(self.target_counts(targets)).to(output.density.device)
        category = at_least_float32(output.category)
        density = at_least_float32(output.density)
        kept = None
        if self.negatives < 1:
            kept = torch.rand(counts.shape, device=counts.device) < self.negatives
        predicted = density.sum(dim=(2, 3))
        parts: dict[str, Tensor] = {}
        if "class" in self.terms:
            scores = losses.class_scores(category, self.form)
            parts["class"] = losses.class_loss(scores, counts)
        if "spatial" in self.terms:
            mask = losses.peak_mask(category, counts, self.form)
            # The spatial losses look at what the branch draws.
            drawn = density * (density[0, 0].numel() if self.form == "public" else 1)
            positive = losses.spatial_positive_loss(drawn, mask, counts)
            parts["spatial"] = positive + losses.spatial_negative_loss(drawn, counts, kept)
        if "mse" in self.terms:
            parts["mse"] = losses.count_mse_loss(predicted, counts, kept)
        if "rank" in self.terms:
            parts["rank"] = self.rank_weight * losses.rank_loss(predicted, counts)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    @torch.no_grad()
    def decode(self, output: CountSegOutput) -> list[Counting]:
        """The counts by class, and the density of the classes that are there, added up."""
        counts = output.counts
        there = (counts > 0)[..., None, None]
        maps = torch.where(there, output.density.float(), 0.0).sum(dim=1).cpu().numpy()
        return [
            Counting(
                count=sum(own),
                size=output.size,
                density=density,
                stride=self.stride,
                per_class=dict(zip(self.classes, own, strict=True)),
            )
            for own, density in zip(counts.cpu().tolist(), maps, strict=True)
        ]

    @torch.no_grad()
    def peaks(self, output: CountSegOutput) -> Peaks:
        """The strict local maxima above 0 of the category maps of the classes that are there, in
        cells of the maps."""
        category = output.category.float()
        heights = losses.category_peaks(category, self.form).clamp(min=0)
        heights = torch.where((output.scores > 0)[..., None, None], heights, 0.0)
        batch, channel, y, x = heights.nonzero().unbind(1)
        points = torch.stack([x, y], dim=1).float()
        return Peaks(points, heights[batch, channel, y, x], batch, channel)

    def segment(
        self,
        images: Tensor,
        proposals: Sequence[Tensor] | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 1.0,
        overlap: float = 0.5,
        slots: int = 8,
    ) -> list[Instances]:
        """A mask for every peak of every picture, section 3.3.

        Each peak's response is traced back to the pixels, and of ``proposals``, (N, H, W) bool
        for each picture, the one of highest score is taken, see
        :func:`~fastcount.models.parts.mask_scoring.score_proposals` for ``alpha``, ``beta`` and
        ``gamma``; None makes proposals out of colours, see
        :func:`~fastcount.models.parts.mask_proposals.propose_masks`. The background is where a
        class's map, brought to the picture's size, is below its mean. Of masks of one class with
        an intersection over union above ``overlap`` the best stays. ``slots``: see
        :func:`~fastcount.models.parts.peak_response.peak_responses`.

        Raises ``ValueError`` in training mode, and for proposals of another size.
        """
        if self.training:
            raise ValueError("segment: the model is in training mode; call model.eval()")
        size = (images.shape[-2], images.shape[-1])
        if proposals is None:
            pixels = (images.detach().clamp(0, 1) * 255).round().to(torch.uint8)
            proposals = [
                torch.from_numpy(propose_masks(one.permute(1, 2, 0).cpu().numpy()))
                for one in pixels
            ]
        if len(proposals) != len(images) or any(one.shape[1:] != size for one in proposals):
            raise ValueError(
                f"proposals: need (N, {size[0]}, {size[1]}) masks for each of {len(images)} "
                f"pictures, got {[tuple(one.shape) for one in proposals]}"
            )
        with torch.no_grad():
            output = self(images)
        peaks = self.peaks(output)
        responses = peak_responses(self, lambda x: self(x).category, images, peaks, slots=slots)
        large = F.interpolate(
            output.category.float(), scale_factor=float(self.stride), mode="bilinear"
        )[..., : size[0], : size[1]]
        background = (large < large.mean(dim=(2, 3), keepdim=True)).float()
        results = []
        for i, masks in enumerate(proposals):
            mine = peaks.batch == i if len(masks) else torch.zeros_like(peaks.batch).bool()
            labels, masks = peaks.channel[mine], masks.to(images.device)
            scores = score_proposals(
                responses[mine],
                background[i, labels],
                output.density[i, labels].float(),
                masks,
                stride=self.stride,
                alpha=alpha,
                beta=beta,
                gamma=gamma,
            )
            best = scores.max(dim=1) if len(labels) else None
            values = scores.new_zeros(0) if best is None else best.values
            chosen = masks[:0] if best is None else masks[best.indices]
            points = (peaks.points[mine] + 0.5) * self.stride - 0.5
            keep = without_doubles(chosen, values, labels, overlap)
            results.append(Instances(chosen[keep], labels[keep], values[keep], points[keep]))
        return results


def _branch(channels: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, classes, 1)
    )
