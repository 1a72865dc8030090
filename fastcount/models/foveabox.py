"""FoveaBox (Kong et al. 2020), with mask focal loss (Zhong et al.).

Each level of a pyramid looks after objects of a range of sizes. In the middle of an object's box,
its fovea, every cell scores the class and tells the box's sides.
"""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from fastcount.losses.mask_targets import owners
from fastcount.models.parts.box_detector import BoxTruth, Detections
from fastcount.models.parts.dense_detector import MATCHED, DenseOutput, cell_middles
from fastcount.models.parts.pyramid_detector import PyramidDetector, PyramidOptions
from fastcount.models.registry import register

_PRIOR = 0.01  # the score that an untrained head gives everywhere


class _Head(nn.Module):
    """Four convolutions to class scores, four to the sides of boxes, shared by all levels."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classes = _branch(channels, num_classes)
        self.boxes = _branch(channels, 4)
        last = self.classes[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.constant_(last.bias, torch.logit(torch.tensor(_PRIOR)).item())

    def forward(self, maps: list[Tensor]) -> dict[str, Tensor]:
        """(B, A, C) class logits and (B, A, 4) sides of the cells of all levels in turn."""
        found = {"cls_logits": self.classes, "bbox_regression": self.boxes}
        return {
            name: torch.cat([branch(one).flatten(2).mT for one in maps], dim=1)
            for name, branch in found.items()
        }


def _branch(channels: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(min(32, channels), channels),
            nn.ReLU(inplace=True),
        ]
    layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


@register("foveabox")
class FoveaBox(PyramidDetector):
    """Cells of levels 3 to 7 score classes and tell boxes, without anchors.

    Args:
        fovea: side of the positive area in sides of the box (the paper's sigma).
        scale: side in cells of the boxes that a level is made for; it looks after sides from half
            of that to twice. Smaller boxes go to the finest level, larger to the coarsest.
        nms_threshold: of two boxes that overlap by more (IoU) the one of lower score goes.
        options: see :class:`fastcount.models.parts.pyramid_detector.PyramidDetector`.
    """

    offset = 0.5

    def __init__(
        self,
        *,
        nms_threshold: float = 0.5,
        fovea: float = 0.4,
        scale: float = 4.0,
        **options: Unpack[PyramidOptions],
    ) -> None:
        super().__init__(**options)
        self.fovea, self.scale, self.nms_threshold = fovea, scale, nms_threshold
        self.head = _Head(self.channels, len(self.classes))

    def outputs(self, maps: list[Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.head(maps)
        return found

    def places(self, output: DenseOutput) -> list[Tensor]:
        return cell_middles(output, self.strides)

    def other_losses(
        self, head: dict[str, Tensor], truths: list[BoxTruth], output: DenseOutput
    ) -> dict[str, Tensor]:
        """``boxes``: smooth L1 (beta 0.11) of the logarithms of the distances to the four sides,
        in sides of the level's boxes, over the cells of all foveas."""
        matched = torch.stack([self._matched(truth, output.sizes) for truth in truths])
        places, basis = self._cells(output)
        picture, place = torch.where(matched >= 0)
        if not len(picture):
            return {"boxes": head["bbox_regression"].sum() * 0.0, MATCHED: matched}
        boxes = torch.cat(
            [truth.boxes[row[row >= 0]] for truth, row in zip(truths, matched, strict=True)]
        )
        at = places[place]
        distance = torch.cat([at - boxes[:, :2], boxes[:, 2:] - at], dim=1) / basis[place]
        # A box smaller than a cell may not hold the middle of its own cell.
        wanted = distance.clamp_min(1 / 64).log()
        found = head["bbox_regression"][picture, place]
        loss = F.smooth_l1_loss(found, wanted, beta=0.11, reduction="sum") / len(picture)
        return {"boxes": loss, MATCHED: matched}

    def detect(self, output: DenseOutput, score_threshold: float) -> list[Detections]:
        logits = output.head["cls_logits"].float()
        places, basis = self._cells(output)
        found = []
        for scores, sides in zip(
            logits.sigmoid(), output.head["bbox_regression"].float(), strict=True
        ):
            place, labels = torch.where(scores >= score_threshold)
            # exp(8) cells are more than any picture has; more would overflow in the suppression
            distance = sides[place].clamp(max=8.0).exp() * basis[place]
            at = places[place]
            boxes = torch.cat([at - distance[:, :2], at + distance[:, 2:]], dim=1)
            boxes = clip_boxes_to_image(boxes, output.size)
            score = scores[place, labels]
            keep = batched_nms(boxes, score, labels, self.nms_threshold)
            found.append(Detections(boxes[keep], score[keep], labels[keep]))
        return found

    def _cells(self, output: DenseOutput) -> tuple[Tensor, Tensor]:
        """(A, 2) places and (A, 1) side of their level's boxes in pixels, all levels in turn."""
        levels = self.places(output)
        basis = [
            one.new_full((len(one), 1), self.scale * stride)
            for one, stride in zip(levels, self.strides, strict=True)
        ]
        return torch.cat(levels), torch.cat(basis)

    def _matched(self, truth: BoxTruth, sizes: list[tuple[int, int]]) -> Tensor:
        """(A,) place in ``truth`` of the box that each cell learns, -1 for none."""
        side = (truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(1).sqrt()
        rows = []
        for level, (size, stride) in enumerate(zip(sizes, self.strides, strict=True)):
            made_for = self.scale * stride
            low = 0.0 if level == 0 else made_for / 2
            high = torch.inf if level == len(sizes) - 1 else made_for * 2
            mine = torch.where((side >= low) & (side <= high))[0]
            owner = owners(truth.boxes[mine], size, stride=stride, shrink=self.fovea)
            known = torch.cat([mine, mine.new_full((1,), -1)])
            rows.append(known[owner])  # -1 is the last entry, which says -1
        return torch.cat(rows)
