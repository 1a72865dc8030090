"""Maize and sorghum plants: leaf counts and leaf tips.

Miao et al., Automation of leaf counting in maize and sorghum using deep learning, The Plant Phenome
Journal 2021.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import require_distinct, require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text

LAYOUT = "PATH/{counts/{training.csv,images/},tips/{training.tsv,images/}}"


class Maize(CountingDataset):
    """``part=counts``: cropped plants with a leaf count; ``part=tips``: whole ones with leaf tips.

    Tips are labelled intact or cut; a plant of the tips part may be imaged but not annotated,
    and is then left out. Coordinates are taken as pixel indices.
    """

    name: ClassVar[str] = "maize"

    def __init__(
        self,
        root: str | Path,
        *,
        part: Literal["counts", "tips"] = "counts",
        split: Literal["train", "validation"] = "train",
    ) -> None:
        stem = {"train": "training", "validation": "validation"}[split]
        table = Path(root) / part / f"{stem}.{'csv' if part == 'counts' else 'tsv'}"
        if not table.is_file():
            raise DatasetError(f"{self.name}: no {table}; expected {LAYOUT}")
        self._folder = table.parent / "images"
        names: list[str] = []
        self._annotations: list[Annotation] = []
        if part == "tips":
            self.classes = ("intact", "cut")
        else:
            self.classes = ("leaf",)
        text = read_text(table, name=self.name, expected=LAYOUT)
        with io.StringIO(text, newline="") as file:
            reader = csv.DictReader(file, delimiter="," if part == "counts" else "\t")
            try:
                for row in reader:
                    names.append(row["fn"])
                    self._annotations.append(
                        Annotation(count=_count(row["label"]))
                        if part == "counts"
                        else self._tips(json.loads(row["targets"]))
                    )
            except (
                KeyError,
                TypeError,
                ValueError,
                OverflowError,
                RecursionError,
                csv.Error,
            ) as error:
                raise DatasetError(
                    f"{self.name}: {table}, line {reader.line_num}: {type(error).__name__} "
                    f"{error}; unpack the file again"
                ) from error
        self.ids = tuple(names)
        require_distinct(self.ids, table, name=self.name)
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._folder / self.ids[index]

    def annotation(self, index: int) -> Annotation:
        return self._annotations[index]

    def _tips(self, targets: dict[str, list[object]]) -> Annotation:
        points = np.array([targets["x"], targets["y"]], dtype=np.float64).T
        labels = [self.classes.index(str(label)) for label in targets["label"]]
        if points.shape != (len(labels), 2) or not np.isfinite(points).all():
            raise ValueError(f"points of shape {points.shape} with {len(labels)} labels")
        return Annotation.of_points(points, np.array(labels, dtype=np.int64))


def _count(text: str) -> float:
    count = float(int(text))
    if count < 0:
        raise ValueError(f"a count of {text}")
    return count
