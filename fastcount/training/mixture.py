"""What is trained on: the pictures of each part of a mixture, and what is drawn of them at random.

All draws are torch's global generator's, which crops and whole pictures seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2

from fastcount.data.base import CountingDataset
from fastcount.data.transforms import inside
from fastcount.models.neighbour_sigma import NeighbourSigma
from fastcount.training.config import Augment, Part


@dataclass(frozen=True)
class Picture:
    """``image``: (3, H, W) uint8. ``points``: (N, 2), those inside it; ``sigma``: (N,) or None.
    ``boxes``: (M, 4) and ``labels``: (M,), where the data set has boxes."""

    image: Tensor
    points: Tensor
    sigma: Tensor | None
    boxes: Tensor | None
    labels: Tensor | None


class TrainingPictures:
    """The pictures of one part of the mixture, decoded once and kept as uint8."""

    def __init__(
        self,
        dataset: CountingDataset,
        indices: Sequence[int],
        part: Part,
        kernels: NeighbourSigma | None,
    ) -> None:
        self.dataset, self.indices, self.part = dataset, list(indices), part
        self.kernels = kernels
        self._kept: dict[int, Picture] = {}

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Picture:
        if i not in self._kept:
            sample = self.dataset[self.indices[i]]
            image = sample["image"].as_subclass(Tensor)
            if "points" not in sample:
                raise ValueError(
                    f"{self.part.dataset}: {sample['id']} has a count but no points, so that of a "
                    "crop is unknown; train a model that takes whole pictures"
                )
            points = sample["points"].as_subclass(Tensor).float()
            points = points[inside(points, (image.shape[-2], image.shape[-1]))]
            sigma = None if self.kernels is None else self.kernels.of(points)
            boxes = labels = None
            if "boxes" in sample:
                boxes = sample["boxes"].as_subclass(Tensor).float()
                labels = sample.get("labels", torch.zeros(len(boxes), dtype=torch.int64))
            self._kept[i] = Picture(image, points, sigma, boxes, labels)
        return self._kept[i]


def share_edges(parts: Sequence[TrainingPictures]) -> Tensor:
    """Upper edges in [0, 1] of the parts' shares of what is drawn, for :func:`pick`."""
    weights = torch.tensor([part.part.weight for part in parts], dtype=torch.float64)
    return (weights / weights.sum()).cumsum(0)


def pick(edges: Tensor) -> int:
    """A random part's number, by its share."""
    which = int(torch.searchsorted(edges, torch.rand((), dtype=torch.float64)))
    return min(which, len(edges) - 1)


def draw_scale(part: Part) -> float:
    """A random scale of ``part``'s range, even in the logarithm."""
    low, high = part.scale
    return math.exp(float(torch.empty(()).uniform_(math.log(low), math.log(high))))


def colour_changes(augment: Augment) -> v2.Transform | None:
    """The random changes of colour that ``augment`` asks for, None for none."""
    changes: list[v2.Transform] = []
    if augment.brightness or augment.contrast:
        changes.append(v2.ColorJitter(augment.brightness, augment.contrast))
    if augment.grey:
        changes.append(v2.RandomGrayscale(augment.grey))
    return v2.Compose(changes) if changes else None
