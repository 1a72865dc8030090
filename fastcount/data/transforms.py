"""What ``torchvision.transforms.v2`` lacks for counting; all its own transforms work on samples.

>>> transform = v2.Compose([v2.RandomCrop(320), v2.RandomHorizontalFlip(), KeepInside()])
>>> sample = transform(dataset[0])
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision import tv_tensors

from fastcount.data.sample import Sample


def inside(points: Tensor, size: tuple[int, int]) -> Tensor:
    """(N,) bool: whether each of ``points`` (N, 2) lies in a picture of ``size`` (H, W).

    The picture covers -0.5 <= x < W - 0.5 and -0.5 <= y < H - 0.5.
    """
    plain = points.as_subclass(Tensor)
    limit = torch.tensor([size[1], size[0]], dtype=plain.dtype, device=plain.device) - 0.5
    return ((plain >= -0.5) & (plain < limit)).all(dim=-1)


class KeepInside(nn.Module):
    """Removes the objects whose point lies outside the picture, and counts the rest.

    For use after a crop: torchvision leaves points behind that a crop has cut off. Boxes and
    labels go with their points. A whole picture's sample needs no such treatment: its dots
    outside count. Raises ``ValueError`` for a sample without points, whose count cannot be
    told after a crop, and for one that has not a box and a label for each point.
    """

    def forward(self, sample: Sample) -> Sample:
        if "points" not in sample:
            raise ValueError(
                f"sample {sample['id']!r} has a count but no points: a crop's count is unknown; "
                "train on whole pictures"
            )
        points = sample["points"]
        for name, values in (("boxes", sample.get("boxes")), ("labels", sample.get("labels"))):
            if values is not None and len(values) != len(points):
                raise ValueError(
                    f"sample {sample['id']!r} has {len(points)} points but {len(values)} {name}: "
                    "leave v2.SanitizeBoundingBoxes out, which removes no points"
                )
        size = (sample["image"].shape[-2], sample["image"].shape[-1])
        keep = inside(points, size)
        kept = Sample(**sample)
        kept["points"] = tv_tensors.wrap(points.as_subclass(Tensor)[keep], like=points)
        if "boxes" in sample:
            boxes = sample["boxes"]
            kept["boxes"] = tv_tensors.wrap(boxes.as_subclass(Tensor)[keep], like=boxes)
        if "labels" in sample:
            kept["labels"] = sample["labels"][keep]
        kept["count"] = float(keep.sum())
        return kept
