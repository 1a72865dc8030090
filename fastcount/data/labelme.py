"""Shapes drawn in LabelMe: one ``.json`` beside every picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import natural_key, require_files
from fastcount.data.label_names import split_names
from fastcount.data.sample import Annotation

LAYOUT = "PATH/a.json with imagePath and shapes, beside its picture"


class LabelMe(CountingDataset):
    """Every shape is one object: a point, or the middle of the box round a drawn shape.

    LabelMe's coordinates have the corner of the top-left pixel at (0, 0): 0.5 is taken off.
    ``classes``: names separated by commas, to fix their order or to count only some; by default
    all that occur, sorted. Boxes are given for pictures in which no shape is a mere point. A
    circle is its centre and a point on its rim.
    """

    name: ClassVar[str] = "labelme"

    def __init__(self, root: str | Path, *, classes: str = "") -> None:
        folder = Path(root)
        files = sorted(folder.glob("*.json"), key=lambda path: natural_key(path.name))
        if not files:
            raise DatasetError(f"{self.name}: no .json in {folder}; expected {LAYOUT}")
        self._pictures: list[Path] = []
        self._shapes: list[list[tuple[str, list[float], bool]]] = []
        for file in files:
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
                self._pictures.append(file.parent / content["imagePath"].replace("\\", "/"))
                self._shapes.append([_shape(shape) for shape in content["shapes"]])
            except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
                raise DatasetError(
                    f"{self.name}: cannot read {file} ({type(error).__name__}: {error}); expected "
                    f"{LAYOUT}; save it again in LabelMe or remove it"
                ) from error
        require_files(self._pictures, name=self.name, what="picture")
        occurring = {label for shapes in self._shapes for label, _, _ in shapes}
        self.classes = split_names(classes, tuple(sorted(occurring)) or ("object",))
        self.ids = tuple(file.stem for file in files)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        wanted = [shape for shape in self._shapes[index] if shape[0] in self.classes]
        boxes = np.array([box for _, box, _ in wanted])
        labels = np.array([self.classes.index(label) for label, _, _ in wanted], dtype=np.int64)
        found = Annotation.of_boxes(boxes, labels)
        if any(is_point for _, _, is_point in wanted):
            return Annotation(found.count, found.points, labels=found.labels)
        return found


def _shape(shape: dict[str, object]) -> tuple[str, list[float], bool]:
    """(label, x1 y1 x2 y2, whether it is a point) of one shape; ``ValueError`` if broken."""
    points = np.array(shape["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"a shape with points of shape {points.shape}, expected finite (N, 2)")
    if shape.get("shape_type") == "circle":
        centre, radius = points[0], np.linalg.norm(points[-1] - points[0])
        points = np.stack([centre - radius, centre + radius])
    box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
    return str(shape["label"]), box, shape.get("shape_type") == "point" or len(points) == 1
