"""Whole pictures, randomly turned and scaled, for models that give one answer for a picture.

Picture n of a run is a function of the run's seed and n alone, as a crop is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from fastcount.data.pixel_points import PixelPoints
from fastcount.data.transforms import inside
from fastcount.models.base import Target
from fastcount.runtime.tiling import Tiling, plan
from fastcount.training.config import Augment
from fastcount.training.mixture import (
    TrainingPictures,
    colour_changes,
    draw_scale,
    pick,
    share_edges,
)


class WholePictures(Dataset[tuple[Tensor, Target]]):
    """Picture n of a run: (3, h, w) float in [0, 1] and its target.

    A picture is resized as ``tiling`` resizes it for counting, times a random scale of its part,
    mirrored, turned by up to ``augment.rotation`` degrees either way, and put at a random place of
    a canvas: of the tiling's square where it pads to one, else of the resized picture's own size;
    what does not fit is cut off evenly. The canvas is filled with ``tiling.fill``.

    A target's ``count`` is the annotated one; where points are known, the number of those still
    on the canvas, and ``labels``, if there are any, are theirs.
    """

    def __init__(
        self, parts: Sequence[TrainingPictures], tiling: Tiling, augment: Augment, seed: int
    ) -> None:
        self.parts, self.tiling, self.augment, self.seed = list(parts), tiling, augment, seed
        self.edges = share_edges(parts)
        self.colour = colour_changes(augment)
        self._kept: dict[tuple[int, int], tuple[Tensor, Target]] = {}

    def __getitem__(self, n: int) -> tuple[Tensor, Target]:
        # torchvision draws from torch's global generator; it is put back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1_000_003 + n)
            return self._changed()

    def _changed(self) -> tuple[Tensor, Target]:
        which = pick(self.edges)
        part = self.parts[which]
        image, truth = self._picture(which, int(torch.randint(len(part), ())))
        cuts = plan((image.shape[-2], image.shape[-1]), self.tiling)
        scale = draw_scale(part.part)
        size = [max(1, round(side * scale)) for side in cuts.scaled]
        image = TF.resize(tv_tensors.Image(image), size, antialias=True)
        at = PixelPoints(truth.get("points", torch.zeros(0, 2)), canvas_size=cuts.size)
        at = TF.resize(at, size)
        if self.augment.flip and torch.rand(()) < 0.5:
            image, at = TF.horizontal_flip(image), TF.horizontal_flip(at)
        if self.augment.vertical_flip and torch.rand(()) < 0.5:
            image, at = TF.vertical_flip(image), TF.vertical_flip(at)
        if self.augment.rotation:
            angle = float(torch.empty(()).uniform_(-1, 1)) * self.augment.rotation
            fill = list(map(float, self.tiling.fill))
            image = TF.rotate(image, angle, InterpolationMode.BILINEAR, expand=True, fill=fill)
            at = TF.rotate(at, angle, expand=True)
        if self.tiling.align > 1:
            size = [cuts.rows[0].stop, cuts.columns[0].stop]
        canvas, offset = _on_canvas(image.as_subclass(Tensor), size, self.tiling.fill)
        if self.colour is not None:
            canvas = self.colour(canvas)
        target: Target = {"count": truth["count"]}
        if "points" in truth:
            placed = at.as_subclass(Tensor) + torch.tensor(offset, dtype=torch.float32)
            keep = inside(placed, (size[0], size[1]))
            target = {"count": float(keep.sum()), "points": placed[keep]}
            if "labels" in truth:
                target["labels"] = truth["labels"][keep]
        return canvas.float().div_(255), target

    def _picture(self, which: int, i: int) -> tuple[Tensor, Target]:
        """Decoded once and kept: (3, H, W) uint8, and what is known of it."""
        if (which, i) not in self._kept:
            source = self.parts[which]
            sample = source.dataset[source.indices[i]]
            truth: Target = {"count": float(sample["count"])}
            if "points" in sample:
                truth["points"] = sample["points"].as_subclass(Tensor).float()
            if "labels" in sample:
                truth["labels"] = sample["labels"]
            self._kept[which, i] = (sample["image"].as_subclass(Tensor), truth)
        return self._kept[which, i]


def _on_canvas(
    image: Tensor,  # [3, h, w] uint8
    size: Sequence[int],
    fill: tuple[int, int, int],
) -> tuple[Tensor, tuple[int, int]]:
    """The picture at a random place of a canvas (3, *size), and x, y of its top-left corner."""
    top, left = (
        int(torch.randint(room + 1, ())) if room >= 0 else room // 2
        for room in (size[0] - image.shape[-2], size[1] - image.shape[-1])
    )
    canvas = torch.tensor(fill, dtype=image.dtype).view(3, 1, 1).expand(3, *size).clone()
    part = image[:, max(-top, 0) : size[0] - top, max(-left, 0) : size[1] - left]
    y, x = max(top, 0), max(left, 0)
    canvas[:, y : y + part.shape[-2], x : x + part.shape[-1]] = part
    return canvas, (left, top)
