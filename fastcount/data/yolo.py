"""Boxes in the text files of YOLO: ``images/SPLIT/a.jpg`` beside ``labels/SPLIT/a.txt``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import pictures_in, stems_of
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text
from fastcount.pictures import upright_size

_LEAST, _GREATEST = -1, 2
LAYOUT = "PATH/{NAME.yaml,images/SPLIT/a.jpg,labels/SPLIT/a.txt}"


class YOLO(CountingDataset):
    """Objects with boxes and classes: lines of ``class x y width height``, in parts of a side.

    ``root`` holds one .yaml file with ``names`` (a list or a mapping). ``split``: an entry of
    that file such as train or val, or a folder in ``images``. A picture without a label file
    holds no object, which is YOLO's own rule. A line may also hold a polygon: its box is taken.
    Boxes of no width or height are left out. Objects may reach beyond their picture, by up to its
    own side: numbers below -1 or above 2 are taken for pixels, and are an error.
    """

    name: ClassVar[str] = "yolo"

    def __init__(self, root: str | Path, *, split: str = "train") -> None:
        folder = Path(root)
        described = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        if len(described) != 1:
            raise DatasetError(
                f"{self.name}: {len(described)} .yaml files in {folder}, expected one; {LAYOUT}"
            )
        text = read_text(described[0], name=self.name, expected=LAYOUT)
        try:
            content: dict[str, Any] = yaml.safe_load(text)
            names = content["names"]
            if not isinstance(names, list | dict):
                raise TypeError(f"names is {names!r}, no list")
            if isinstance(names, dict):
                names = [names[number] for number in range(len(names))]
            self.classes = tuple(map(_text, names))
            entry = _text(content.get(split) or f"images/{split}")
        except (
            yaml.YAMLError,
            LookupError,
            TypeError,
            AttributeError,
            ValueError,
            RecursionError,
        ) as error:
            raise DatasetError(
                f"{self.name}: cannot read {described[0]} ({type(error).__name__}: {error}); it "
                "needs names: [...], or names numbered from 0"
            ) from error
        images = folder / entry
        self._pictures = pictures_in(images, name=self.name, layout=LAYOUT)
        parts = list(Path(entry).parts)
        if "images" not in parts:
            raise DatasetError(f"{self.name}: {split} is {entry!r} in {described[0]}; {LAYOUT}")
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        labels = folder.joinpath(*parts)
        if not labels.is_dir():
            raise DatasetError(f"{self.name}: no folder {labels}; expected {LAYOUT}")
        self._truths = [labels / f"{path.stem}.txt" for path in self._pictures]
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        file = self._truths[index]
        if not os.path.lexists(file):  # a link to nowhere is a label that is lost
            return Annotation.of_boxes(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
        height, width = upright_size(self.path(index))
        side = np.array([width, height], dtype=np.float64)
        boxes, labels = [], []
        lines = read_text(file, name=self.name, expected=LAYOUT).splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                box, label = _box_of(line, len(self.classes))
            except ValueError as error:
                raise DatasetError(
                    f"{self.name}: {file}, line {number}: {error}; mend the line"
                ) from error
            if (box[0] < box[1]).all():
                boxes.append((box * side).ravel())
                labels.append(label)
        return Annotation.of_boxes(np.array(boxes), np.array(labels, dtype=np.int64))


def _text(value: object) -> str:
    """As text; ``TypeError`` for lists, which may hold each other until they fill the memory."""
    if isinstance(value, list | dict | set | tuple):
        raise TypeError("a list where one text or number is expected")
    return str(value)


def _box_of(line: str, classes: int) -> tuple[np.ndarray[Any, np.dtype[np.float64]], int]:
    """((2, 2) corners in parts of a side, class) of one line; ``ValueError`` if it is broken."""
    label, *values = line.split()
    numbers = np.array([float(value) for value in values])
    if not label.isdigit() or int(label) >= classes:
        raise ValueError(f"class {label!r} is not one of the {classes} numbered from 0")
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")
    if (numbers < _LEAST).any() or (numbers > _GREATEST).any():
        beyond = numbers[(numbers < _LEAST) | (numbers > _GREATEST)][0]
        raise ValueError(f"{beyond:g} is no part of a side; divide pixels by width and height")
    if len(numbers) == 4:
        if (numbers[2:] < 0).any():
            raise ValueError(f"a box of the sides {numbers[2]:g} and {numbers[3]:g}")
        middle, half = numbers[:2], numbers[2:] / 2
        corners = np.stack([middle - half, middle + half])
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        polygon = numbers.reshape(-1, 2)
        corners = np.stack([polygon.min(axis=0), polygon.max(axis=0)])
    else:
        raise ValueError(f"{len(numbers)} numbers behind the class, expected 4 or a polygon")
    return corners, int(label)
