"""What every data set for counting has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from torchvision import tv_tensors

from fastcount.class_names import UNNAMED
from fastcount.data.pixel_points import PixelPoints
from fastcount.data.sample import Annotation, Sample
from fastcount.pictures import open_picture


class DatasetError(ValueError):
    """A data set that cannot be read: the message names the file and the cure."""


@contextmanager
def errors_of(place: str) -> Iterator[None]:
    """A ``ValueError`` of the block becomes a :class:`DatasetError` that begins with ``place``."""
    try:
        yield
    except ValueError as error:
        raise DatasetError(f"{place}: {error}") from error


class CountingDataset(Dataset[Sample], ABC):
    """Pictures with the number of things in them.

    A reader fills ``ids`` (one unique name a picture, in a fixed order) and says where a
    picture lies and what its annotation holds; the sample is put together here. Annotations are
    read one at a time, so a broken file is an error of its own sample only. ``classes`` names
    the labels; ``rendered``: whether the pictures were made, not taken.
    """

    name: ClassVar[str]
    rendered: ClassVar[bool] = False
    ids: tuple[str, ...]
    classes: tuple[str, ...] = UNNAMED

    @abstractmethod
    def path(self, index: int) -> Path:
        """The file of picture ``index``."""

    @abstractmethod
    def annotation(self, index: int) -> Annotation:
        """The truth of picture ``index``, read without decoding the picture where possible.

        Raises :class:`DatasetError` where the file is missing or broken.
        """

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The pixels of picture ``index``: (H, W, 3) uint8 RGB, grey pictures included."""
        return open_picture(self.path(index))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} in a data set of {len(self)} pictures")
        index %= len(self)
        annotation = self.annotation(index)
        pixels = torch.from_numpy(self.picture(index)).permute(2, 0, 1).contiguous()
        size = (pixels.shape[1], pixels.shape[2])
        sample: Sample = {
            "image": tv_tensors.Image(pixels),
            "count": annotation.count,
            "id": self.ids[index],
        }
        if annotation.points is not None:
            sample["points"] = PixelPoints(torch.from_numpy(annotation.points), canvas_size=size)
        if annotation.boxes is not None:
            sample["boxes"] = tv_tensors.BoundingBoxes(
                torch.from_numpy(annotation.boxes), format="XYXY", canvas_size=size
            )
        if annotation.labels is not None:
            sample["labels"] = torch.from_numpy(annotation.labels)
        return sample
