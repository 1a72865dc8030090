"""Random crops, each a function of the run's seed and its own number alone.

Crop n is the same whoever asks for it and when: a run that was killed goes on with the very
crops it would have seen, and processes share the work without agreeing on anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from fastcount.data.pixel_points import PixelPoints
from fastcount.data.transforms import inside
from fastcount.models.base import Target
from fastcount.training.config import Augment
from fastcount.training.mixture import (
    TrainingPictures,
    colour_changes,
    draw_scale,
    pick,
    share_edges,
)


def _unclamped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes in a picture of ``size``, which no transform cuts off at its border."""
    marked: Tensor = tv_tensors.BoundingBoxes(
        boxes, format="XYXY", canvas_size=size, clamping_mode=None
    )
    return marked


def _overlapping(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes that reach into the crop; a detector learns those whose middle does."""
    edge = boxes.new_tensor([width, height])
    return ((boxes[:, 2:] > 0) & (boxes[:, :2] < edge)).all(1)


class Crops(Dataset[tuple[Tensor, Target]]):
    """Crop n of a run: (3, h, w) float in [0, 1] and its target.

    ``fill``: the colour of what of a crop lies beyond its picture, the model's ``tiling.fill``:
    what it will see there when it counts.
    """

    def __init__(
        self,
        parts: Sequence[TrainingPictures],
        size: tuple[int, int],
        augment: Augment,
        seed: int,
        *,
        fill: tuple[int, int, int] = (124, 116, 104),
    ) -> None:
        if augment.transpose and size[0] != size[1]:
            raise ValueError(f"augment: transpose needs square crops, got crop {size}")
        self.parts, self.size, self.seed, self.fill = list(parts), size, seed, fill
        self.edges = share_edges(parts)
        self.colour = colour_changes(augment)
        self.augment = augment

    def __getitem__(self, n: int) -> tuple[Tensor, Target]:
        # torchvision draws from torch's global generator; it is put back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1_000_003 + n)
            return self._crop()

    def _crop(self) -> tuple[Tensor, Target]:
        part = self.parts[pick(self.edges)]
        picture = part[int(torch.randint(len(part), ()))]
        image = picture.image
        size = (image.shape[-2], image.shape[-1])
        scale = draw_scale(part.part)
        height, width = self.size
        # The window of the picture that becomes the crop; it may be larger than the picture.
        h, w = round(height / scale), round(width / scale)
        top, left = _offset(size[0], h), _offset(size[1], w)
        window = _fill_outside(TF.crop(image, top, left, h, w), size, top, left, self.fill)
        window = TF.resize(window, [height, width], antialias=True)
        marks: list[Tensor] = [PixelPoints(picture.points, canvas_size=size)]
        if picture.boxes is not None:
            marks.append(_unclamped(picture.boxes, size))
        marks = [TF.resize(TF.crop(mark, top, left, h, w), [height, width]) for mark in marks]
        keep = inside(marks[0], (height, width))
        marks[0] = tv_tensors.wrap(marks[0].as_subclass(Tensor)[keep], like=marks[0])
        flips = (
            (TF.horizontal_flip, self.augment.flip),
            (TF.vertical_flip, self.augment.vertical_flip),
        )
        for flip, wanted in flips:
            if wanted and torch.rand(()) < 0.5:
                window, *marks = [flip(each) for each in (window, *marks)]
        points, *boxes = [mark.as_subclass(Tensor) for mark in marks]
        if self.augment.transpose and torch.rand(()) < 0.5:
            window, points = window.mT, points.flip(1)
            boxes = [each[:, [1, 0, 3, 2]] for each in boxes]
        if self.colour is not None:
            window = self.colour(window)
        target: Target = {"count": float(len(points)), "points": points}
        if picture.sigma is not None:
            target["sigma"] = picture.sigma[keep] * math.sqrt(height / h * (width / w))
        if boxes and picture.labels is not None:
            seen = _overlapping(boxes[0], height, width)
            target["boxes"], target["labels"] = boxes[0][seen], picture.labels[seen]
        return window.float().div_(255), target


def _offset(side: int, window: int) -> int:
    """A random place of a window along one side; larger windows hang over both ends."""
    room = side - window
    return int(torch.randint(min(room, 0), max(room, 0) + 1, ()))


def _fill_outside(
    window: Tensor, size: tuple[int, int], top: int, left: int, fill: tuple[int, int, int]
) -> Tensor:
    """The window at ``top``, ``left`` with ``fill`` where there is no picture of ``size``."""
    height, width = window.shape[-2:]
    y0, x0 = max(-top, 0), max(-left, 0)
    y1, x1 = min(size[0] - top, height), min(size[1] - left, width)
    if (y0, x0, y1, x1) == (0, 0, height, width):
        return window
    window = window.clone()
    colour = torch.tensor(fill, dtype=window.dtype).view(3, 1, 1)
    window[:, :y0], window[:, y1:] = colour, colour
    window[:, :, :x0], window[:, :, x1:] = colour, colour
    return window


class CropSampler(Sampler[int]):
    """The numbers of the crops of the next ``steps`` steps for one process.

    Step by step each process takes its own ``batch_size`` of the ``world`` * ``batch_size`` crops
    that the step needs. ``done`` tells the steps taken so far whenever a pass begins: a run that
    goes on after a stop finds its place by what it has done, not by a count of passes.
    """

    def __init__(
        self,
        steps: int,
        batch_size: int,
        *,
        done: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.steps, self.batch_size, self.done = steps, batch_size, done
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __iter__(self) -> Iterator[int]:
        done = self.done()
        for step in range(done, done + self.steps):
            first = (step * self.world + self.rank) * self.batch_size
            yield from range(first, first + self.batch_size)


Batch = list[tuple[Tensor, list[Target]]]


def collate(drawn: list[tuple[Tensor, Target]]) -> Batch:
    """Pictures of one size together: (B, 3, h, w) in channels-last order, and their targets.

    Whole pictures may be of several sizes. They are not filled up to one, for they are not when
    they are counted, and an average over the map would be another.
    """
    sizes: dict[tuple[int, ...], list[tuple[Tensor, Target]]] = {}
    for image, target in drawn:
        sizes.setdefault(tuple(image.shape), []).append((image, target))
    return [
        (
            torch.stack([image for image, _ in same]).contiguous(memory_format=torch.channels_last),
            [target for _, target in same],
        )
        for same in sizes.values()
    ]
