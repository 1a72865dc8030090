"""What FCOS and RetinaNet share: torchvision's detector on our pyramid.

torchvision supplies the head, the anchors, which anchor learns which box, the boxes' losses and
the suppression of neighbours. Its classification loss is exchanged, and its limits on the number
of objects are lifted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from fastcount.models.parts.box_detector import BoxTruth, Detections
from fastcount.models.parts.dense_detector import MATCHED, DenseOutput
from fastcount.models.parts.pyramid_detector import PyramidDetector

UNLIMITED = 2**31 - 1


class NoBackbone(nn.Module):
    """Stands in for the backbone that torchvision's detectors ask for; ours runs before them."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels


class HandsOutMatches:
    """Placed before torchvision's head among the bases of one: hands out, among the losses, the
    box that each anchor learns."""

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        head: Any = super()
        losses = head.compute_loss(targets, head_outputs, anchors, matched_idxs)
        return {**losses, MATCHED: torch.stack(matched_idxs)}


class TorchvisionDetector(PyramidDetector):
    """Subclasses give ``detector``: torchvision's model, whose head hands out ``MATCHED``."""

    offset = 0.0  # torchvision's anchors stand at the top-left corners of cells
    detector: Any

    def outputs(self, maps: list[Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.detector.head(maps)
        return found

    def places(self, output: DenseOutput) -> list[Tensor]:
        return [(one[:, :2] + one[:, 2:]) / 2 for one in self._anchors(output)]

    def other_losses(
        self, head: dict[str, Tensor], truths: list[BoxTruth], output: DenseOutput
    ) -> dict[str, Tensor]:
        levels = self._anchors(output)
        losses: dict[str, Tensor] = self._torchvision_losses(
            [{"boxes": truth.boxes, "labels": truth.labels} for truth in truths],
            head,
            [torch.cat(levels)] * len(truths),
            [len(one) for one in levels],
        )
        del losses["classification"]
        return losses

    def detect(self, output: DenseOutput, score_threshold: float) -> list[Detections]:
        head = {name: each.float() for name, each in output.head.items()}
        batch = len(head["cls_logits"])
        levels = self._anchors(output)
        counts = [len(one) for one in levels]
        self.detector.score_thresh = score_threshold
        found = self.detector.postprocess_detections(
            {name: list(torch.split(each, counts, dim=1)) for name, each in head.items()},
            [levels] * batch,
            [output.size] * batch,
        )
        return [Detections(one["boxes"], one["scores"], one["labels"]) for one in found]

    def _torchvision_losses(
        self,
        targets: list[dict[str, Tensor]],
        head: dict[str, Tensor],
        anchors: list[Tensor],
        counts: list[int],
    ) -> dict[str, Tensor]:
        """torchvision's losses and ``MATCHED``; ``counts``: anchors of each level."""
        losses: dict[str, Tensor] = self.detector.compute_loss(targets, head, anchors)
        return losses

    def _anchors(self, output: DenseOutput) -> list[Tensor]:
        """Anchors (A, 4) of each level; only the shapes of the maps matter to torchvision."""
        blank = torch.zeros((), device=output.head["cls_logits"].device)
        maps = [blank.expand(1, 1, *size) for size in output.sizes]
        pictures = ImageList(blank.expand(1, 3, *output.size), [output.size])
        anchors: Tensor = self.detector.anchor_generator(pictures, maps)[0]
        each_cell = len(anchors) // sum(h * w for h, w in output.sizes)
        return list(torch.split(anchors, [h * w * each_cell for h, w in output.sizes]))
