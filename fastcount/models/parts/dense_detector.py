"""Detectors that score every cell of every level of a pyramid, learning by a focal loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from fastcount.losses.mask_targets import box_heatmap
from fastcount.models.base import Normalize, Target, require_multiples, require_one_each
from fastcount.models.parts.box_detector import BoxDetector, BoxTruth
from fastcount.models.parts.focal_choice import FocalChoice, FocalName
from fastcount.runtime.tiling import Tiling

TargetMap = Literal["binary", "heatmap"]

MATCHED = "matched"  # the entry of a detector's losses that says which box each anchor learns


@dataclass(frozen=True)
class DenseOutput:
    """``head``: outputs (B, A, K) by name, the A anchors of all levels in turn; ``cls_logits``
    (B, A, C) are the scores. An anchor is a cell, or one of several boxes at a cell.

    ``sizes``: (h, w) of each level's map. ``size``: (H, W) of the pictures.
    """

    head: dict[str, Tensor]
    sizes: list[tuple[int, int]]
    size: tuple[int, int]


def check_target_map(target_map: str) -> None:
    """Raises ``ValueError`` for a name that is no :data:`TargetMap`."""
    if target_map not in get_args(TargetMap):
        names = ", ".join(get_args(TargetMap))
        raise ValueError(f"target_map: need one of {names}, got {target_map!r}")


def matched_mask(matched: Tensor, truths: Sequence[BoxTruth], num_classes: int) -> Tensor:
    """(B, A, C) bool: the anchors that learn a box, at its class.

    ``matched`` (B, A): the place of the box that each anchor learns, < 0 for none.
    """
    mask = matched.new_zeros(*matched.shape, num_classes, dtype=torch.bool)
    picture, place = torch.where(matched >= 0)
    classes = [truth.labels[row[row >= 0]] for truth, row in zip(truths, matched, strict=True)]
    mask[picture, place, torch.cat(classes)] = True
    return mask


def matched_heatmap(
    matched: Tensor,
    truths: Sequence[BoxTruth],
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    num_classes: int,
    offset: float,
    *,
    epsilon: float = 6.0,
) -> Tensor:
    """(B, A, C): at each anchor the Gaussian heat map of its level, drawn of the boxes that
    anchors of that level learn (``matched``, see :func:`matched_mask`).

    Anchors of level l are ``sizes[l]`` cells, row by row, with the same number in each cell;
    ``offset`` says where in a cell they stand, ``epsilon`` how narrow kernels are, see
    :mod:`fastcount.losses.mask_targets`.
    """
    batch, anchors = matched.shape
    each_cell = anchors // sum(h * w for h, w in sizes)
    target = torch.zeros(batch, anchors, num_classes, device=matched.device)
    begin = 0
    for size, stride in zip(sizes, strides, strict=True):
        end = begin + size[0] * size[1] * each_cell
        learnt = [torch.unique(row[row >= 0]) for row in matched[:, begin:end]]
        heat = box_heatmap(
            [truth.boxes[some] for truth, some in zip(truths, learnt, strict=True)],
            [truth.labels[some] for truth, some in zip(truths, learnt, strict=True)],
            size,
            stride=stride,
            num_classes=num_classes,
            offset=offset,
            epsilon=epsilon,
        )
        target[:, begin:end] = heat.flatten(2).mT.repeat_interleave(each_cell, dim=1)
        begin = end
    return target


def cell_middles(output: DenseOutput, strides: Sequence[int]) -> list[Tensor]:
    """(h w, 2) x, y of the middle of each cell of each level, row by row, in edge coordinates."""
    device = output.head["cls_logits"].device
    found = []
    for (height, width), stride in zip(output.sizes, strides, strict=True):
        sides = torch.arange(width, device=device), torch.arange(height, device=device)
        x, y = torch.meshgrid(*sides, indexing="xy")
        found.append((torch.stack([x, y], 2).reshape(-1, 2) + 0.5) * stride)
    return found


def outside(places: Tensor, truths: Sequence[BoxTruth]) -> Tensor | None:
    """(B, A, 1) bool: whether ``places`` (A, 2) lie in no ignored box; None where none is."""
    if not any(len(truth.ignored) for truth in truths):
        return None
    keep = []
    for truth in truths:
        low, high = truth.ignored[:, None, :2], truth.ignored[:, None, 2:]
        keep.append(~((places >= low) & (places <= high)).all(-1).any(0))
    return torch.stack(keep)[..., None]


class DenseDetector(BoxDetector):
    """A pyramid and a head that scores every anchor of every level.

    Args:
        pyramid: a module with ``mean`` and ``std`` that makes one map for each of ``levels``.
        levels: rising; a cell of level l has 2^l pixels a side.
        loss, gamma, beta, epsilon: see :class:`fastcount.models.parts.focal_choice.FocalChoice`.
        target_map: what an anchor that learns a box should score by a mask focal loss:
            ``"binary"``, 1, as in the paper, where beta changes nothing; or ``"heatmap"``, the
            Gaussian heat map of its level there, which is 1 in the middle of a box.
        classes, score_threshold: see :class:`BoxDetector`.

    ``forward``: (B, 3, H, W) RGB in [0, 1], sides multiples of the coarsest stride.
    """

    offset: ClassVar[float]

    def __init__(
        self,
        pyramid: nn.Module,
        *,
        levels: Sequence[int],
        loss: FocalName,
        gamma: float | None,
        beta: float | None,
        epsilon: float,
        target_map: TargetMap,
        classes: Sequence[str],
        score_threshold: float,
    ) -> None:
        super().__init__(classes, score_threshold)
        check_target_map(target_map)
        self.focal = FocalChoice(loss, gamma=gamma, beta=beta, epsilon=epsilon)
        self.target_map = target_map
        maps: Any = pyramid  # its mean and std are plain attributes
        self.pyramid = maps
        self.normalize = Normalize(maps.mean, maps.std)
        self.strides = [2**level for level in levels]
        self.tiling = Tiling(mode="overlap", tile=(1536, 1536), margin=256, align=self.strides[-1])

    @property
    def score_classes(self) -> int:
        """Scores of an anchor in ``cls_logits``: one a class, or 1 for "an object"."""
        return len(self.classes)

    @abstractmethod
    def outputs(self, maps: list[Tensor]) -> dict[str, Tensor]:
        """The head's outputs (B, A, K) by name, see :class:`DenseOutput`."""

    @abstractmethod
    def places(self, output: DenseOutput) -> list[Tensor]:
        """(A, 2) middle of each anchor of each level, in edge coordinates."""

    @abstractmethod
    def other_losses(
        self, head: dict[str, Tensor], truths: list[BoxTruth], output: DenseOutput
    ) -> dict[str, Tensor]:
        """The losses besides that of the scores, of ``head`` in float32.

        The entry ``MATCHED`` is no loss: (B, A) int64, the place of the box that each anchor
        learns, -1 for background and -2 for neither.
        """

    def forward(self, images: Tensor) -> DenseOutput:
        require_multiples(images, self.strides[-1])
        maps = self.pyramid(self.normalize(images))
        sizes = [(one.shape[-2], one.shape[-1]) for one in maps]
        return DenseOutput(self.outputs(maps), sizes, (images.shape[-2], images.shape[-1]))

    def loss(self, output: DenseOutput, targets: list[Target]) -> dict[str, Tensor]:
        """The detector's usual losses, ``classification`` by the chosen focal loss; ``loss`` is
        their sum.

        ``"focal"`` is eq. 2 weighted 1 to 3 for objects and background, as RetinaNet has it. All
        are divided by the number of anchors that learn a box. Ignored boxes take no part: the
        scores of anchors in them are skipped.
        """
        head = {name: each.float() for name, each in output.head.items()}
        logits = head["cls_logits"]
        require_one_each(targets, logits)
        truths = self.truths(targets, output, logits.device)
        parts = self.other_losses(head, truths, output)
        matched = parts.pop(MATCHED)
        parts["classification"] = self._classification(logits, matched, truths, output)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def picture_size(self, output: DenseOutput) -> tuple[int, int]:
        return output.size

    def _classification(
        self, logits: Tensor, matched: Tensor, truths: list[BoxTruth], output: DenseOutput
    ) -> Tensor:
        number_of_scores = self.score_classes
        if number_of_scores == 1:
            truths = [replace(one, labels=torch.zeros_like(one.labels)) for one in truths]
        mask = matched_mask(matched, truths, number_of_scores)
        number = float(max(1, int((matched >= 0).sum())))
        keep = outside(torch.cat(self.places(output)), truths)
        undecided = matched == -2
        if bool(undecided.any()):
            decided = ~undecided[..., None]
            keep = decided if keep is None else keep & decided
        if keep is not None:
            keep = (keep | mask).expand_as(logits)
        if self.focal.masked:
            target = mask.to(logits.dtype)
            if self.target_map == "heatmap":
                target = target * matched_heatmap(
                    matched,
                    truths,
                    output.sizes,
                    self.strides,
                    number_of_scores,
                    self.offset,
                    epsilon=self.focal.epsilon,
                )
            return self.focal(logits, target, mask, number, keep=keep)
        entries = sigmoid_focal_loss(logits, mask.to(logits.dtype), gamma=self.focal.gamma)
        total: Tensor = (entries if keep is None else entries * keep).sum() / number
        return total
