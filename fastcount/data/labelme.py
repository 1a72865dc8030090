"""Shapes drawn in LabelMe: one ``.json`` beside every picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from fastcount.class_names import UNNAMED
from fastcount.data.base import CountingDataset, DatasetError, errors_of
from fastcount.data.folder import natural_key, require_files
from fastcount.data.label_names import split_names
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_json

LAYOUT = "PATH/a.json with imagePath and shapes, beside its picture"


@dataclass(frozen=True)
class _Shape:
    label: str
    box: list[float]  # x1, y1, x2, y2
    is_point: bool


@dataclass(frozen=True)
class _Drawing:
    picture: Path
    shapes: list[_Shape]


class LabelMe(CountingDataset):
    """Every shape is one object: a point, or the middle of the box round a drawn shape.

    LabelMe's coordinates have the corner of the top-left pixel at (0, 0): 0.5 is taken off.
    ``classes``: names separated by commas, to fix their order or to count only some; by default
    all that occur, sorted. A name that occurs nowhere is an error where some that do occur are
    left out, for it may be one of them, misspelt. Boxes are given for pictures in which no shape
    is a mere point. A circle is its centre and a point on its rim.
    """

    name: ClassVar[str] = "labelme"

    def __init__(self, root: str | Path, *, classes: str = "") -> None:
        folder = Path(root)
        files = sorted(folder.glob("*.json"), key=lambda path: natural_key(path.name))
        if not files:
            raise DatasetError(f"{self.name}: no .json in {folder}; expected {LAYOUT}")
        # All are read now, for the classes; what is wrong with one is told when its turn comes.
        self._found: list[_Drawing | str] = []
        for file in files:
            try:
                self._found.append(self._drawing(file))
            except DatasetError as error:
                self._found.append(str(error))
        drawings = [one for one in self._found if isinstance(one, _Drawing)]
        if not drawings:
            raise DatasetError(str(self._found[0]))
        require_files([one.picture for one in drawings], name=self.name, what="picture")
        occurring = {shape.label for one in drawings for shape in one.shapes}
        self.classes = split_names(classes, tuple(sorted(occurring)) or UNNAMED)
        unknown = [one for one in self.classes if one not in occurring]
        left_out = sorted(occurring - set(self.classes))
        if unknown and left_out:
            raise DatasetError(
                f"{self.name}: no shape in {folder} is of the class {unknown[0]!r}, and "
                f"{', '.join(left_out)} would be left out; mend classes={classes}"
            )
        self.ids = tuple(file.stem for file in files)

    def path(self, index: int) -> Path:
        """Raises :class:`DatasetError` where the ``.json``, which tells, is broken."""
        return self._whole(index).picture

    def annotation(self, index: int) -> Annotation:
        wanted = [one for one in self._whole(index).shapes if one.label in self.classes]
        boxes = np.array([one.box for one in wanted])
        labels = np.array([self.classes.index(one.label) for one in wanted], dtype=np.int64)
        with errors_of(f"{self.name}: shapes of {self.ids[index]}.json"):
            found = Annotation.of_boxes(boxes, labels)
        if any(one.is_point for one in wanted):
            return replace(found, boxes=None)
        return found

    def _whole(self, index: int) -> _Drawing:
        found = self._found[index]
        if isinstance(found, str):
            raise DatasetError(found)
        return found

    def _drawing(self, file: Path) -> _Drawing:
        content = read_json(file, name=self.name, expected=LAYOUT)
        try:
            picture = file.parent / content["imagePath"].replace("\\", "/")
            return _Drawing(picture, [_shape(shape) for shape in content["shapes"]])
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise DatasetError(
                f"{self.name}: cannot read {file} ({type(error).__name__}: {error}); expected "
                f"{LAYOUT}; save it again in LabelMe or remove it"
            ) from error


def _shape(shape: dict[str, object]) -> _Shape:
    """``ValueError`` for one that is broken."""
    points = np.array(shape["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"a shape with points of shape {points.shape}, expected finite (N, 2)")
    if shape.get("shape_type") == "circle":
        centre, radius = points[0], np.linalg.norm(points[-1] - points[0])
        points = np.stack([centre - radius, centre + radius])
    box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
    is_point = shape.get("shape_type") == "point" or len(points) == 1
    return _Shape(str(shape["label"]), box, is_point)
