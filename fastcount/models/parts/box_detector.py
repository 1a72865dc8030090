"""What detectors by boxes share: their truth, their score threshold, their countings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastcount.counting import Counting
from fastcount.models.base import CountingModel, Target


@dataclass(frozen=True)
class BoxTruth:
    """The objects of one picture that a detector learns.

    ``boxes``: (N, 4) float32 x1, y1, x2, y2 in edge coordinates, of area > 0, with their middle
    in the picture; they may reach beyond it. ``labels``: (N,) int64. ``ignored``: (M, 4) regions
    that are neither object nor background.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class Detections:
    """What was found in one picture: boxes (N, 4) in edge coordinates, scores (N,) in [0, 1],
    labels (N,) int64; where points (N, 2) in pixel indices are None, they are the boxes' middles.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    points: Tensor | None = None


def box_truth(
    target: Target, size: tuple[int, int], num_classes: int, device: torch.device
) -> BoxTruth:
    """The boxes of ``target`` that lie in a picture of ``size`` (H, W), moved to ``device``.

    A label of -1 marks an ignored region. Left out are boxes without area, which are slips of
    an annotator, and boxes whose middle is outside the picture: as with points, an object
    belongs to the picture that holds its centre. Without ``labels`` all are of class 0.

    Raises ``ValueError`` where there are no boxes, they are not finite or have no shape (N, 4),
    or a label does not fit.
    """
    if "boxes" not in target:
        raise ValueError(
            "targets: a detector learns from boxes, and this target has none; "
            "`fastcount boxes` makes them from dots"
        )
    boxes = target["boxes"].as_subclass(Tensor).to(device, torch.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected the shape (N, 4), got {tuple(boxes.shape)}")
    labels = torch.zeros(len(boxes), dtype=torch.int64, device=device)
    if "labels" in target:
        labels = target["labels"].to(device)
    if labels.shape != (len(boxes),):
        raise ValueError(f"labels: expected the shape ({len(boxes)},), got {tuple(labels.shape)}")
    if not bool(torch.isfinite(boxes).all()):
        raise ValueError("boxes: hold a value that is not finite; remove such boxes first")
    if len(labels) and not (int(labels.min()) >= -1 and int(labels.max()) < num_classes):
        raise ValueError(
            f"labels: expected 0 .. {num_classes - 1}, or -1 for an ignored box, got "
            f"{int(labels.min())} .. {int(labels.max())}; give the model its classes"
        )
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    edge = torch.tensor([size[1], size[0]], dtype=boxes.dtype, device=device)
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    inside = ((middle >= 0) & (middle < edge)).all(1)
    own = solid & inside & (labels >= 0)
    return BoxTruth(boxes[own], labels[own], boxes[solid & (labels < 0)])


class BoxDetector(CountingModel):
    """A detector: it counts the boxes whose score reaches ``score_threshold``.

    There is no other limit to how many it finds. The threshold is a buffer, so it is saved with
    the weights: :meth:`set_score_threshold` after choosing it on validation pictures.

    Args:
        classes: names of the classes.
        score_threshold: in [0, 1).

    Raises ``ValueError`` for no or repeated classes, or a threshold out of range.
    """

    score_threshold: Tensor

    def __init__(self, classes: Sequence[str], score_threshold: float) -> None:
        super().__init__()
        if isinstance(classes, str) or not classes or len(set(classes)) != len(classes):
            raise ValueError(f"classes: need a list of different names, got {classes!r}")
        self.classes = tuple(classes)
        self.register_buffer("score_threshold", torch.zeros(()))
        self.set_score_threshold(score_threshold)

    def set_score_threshold(self, threshold: float) -> None:
        """Counts from now on what scores at least ``threshold``, in [0, 1)."""
        if not 0 <= threshold < 1:
            raise ValueError(f"score_threshold: need a number in [0, 1), got {threshold}")
        self.score_threshold.fill_(threshold)

    @abstractmethod
    def detect(self, output: Any, score_threshold: float) -> list[Detections]:
        """What scores at least ``score_threshold``, one a picture. A higher threshold gives a
        part of what a lower one gives."""

    @abstractmethod
    def picture_size(self, output: Any) -> tuple[int, int]:
        """(H, W) in pixels of the pictures that ``output`` came from."""

    def decode(self, output: Any) -> list[Counting]:
        """Counts the detections that reach ``score_threshold``: points, boxes and classes."""
        with torch.no_grad():
            found = self.detect(output, float(self.score_threshold))
        size = self.picture_size(output)
        return [_counting(each, size, self.classes) for each in found]

    def truths(self, targets: list[Target], output: Any, device: torch.device) -> list[BoxTruth]:
        """:func:`box_truth` of each target."""
        size = self.picture_size(output)
        return [box_truth(target, size, len(self.classes), device) for target in targets]


def _counting(found: Detections, size: tuple[int, int], classes: tuple[str, ...]) -> Counting:
    boxes = found.boxes.detach().float().cpu()
    labels = found.labels.cpu()
    points = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5 if found.points is None else found.points
    per_class = torch.bincount(labels, minlength=len(classes)).tolist()
    return Counting(
        count=float(len(boxes)),
        size=size,
        points=points.detach().float().cpu().numpy(),
        scores=found.scores.detach().float().cpu().numpy(),
        boxes=boxes.numpy(),
        labels=labels.numpy(),
        per_class={name: float(n) for name, n in zip(classes, per_class, strict=True)},
    )
