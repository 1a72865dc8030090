"""Leaves of rosette plants: the leaf counting challenge, and a folder of Arabidopsis.

Minervini et al., Finely-grained annotated datasets for image-based plant phenotyping, Pattern
Recognition Letters 2016.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import ClassVar

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.dot_pictures import read_dots
from fastcount.data.folder import natural_key, require_files
from fastcount.data.instance_masks import centroids, instances, read_mask
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text

LCC_LAYOUT = "PATH/A1/{A1.csv,plant001_rgb.png,plant001_centers.png}"
_COUNT = re.compile(r"[0-9]{1,9}")
ARA_LAYOUT = "PATH/{Leaf_counts.csv,data/plant001_rgb.png,data/plant001_label.png}"


def read_counts(table: Path, *, name: str, layout: str) -> dict[str, int]:
    """Leaves by lower-case file stem, from rows of ``picture,count``; a header may come first."""
    if not table.is_file():
        raise DatasetError(f"{name}: no {table}; expected {layout}")
    counts: dict[str, int] = {}
    text = read_text(table, name=name, expected=layout)
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:  # a field without end
        raise DatasetError(f"{name}: cannot read {table} ({error}); expected {layout}") from error
    for number, row in enumerate(rows, start=1):
        if len(row) < 2 or not _COUNT.fullmatch(row[1].strip()):
            if number == 1 or not any(row):
                continue
            raise DatasetError(f"{name}: {table}, line {number}: expected picture,count")
        counts[Path(row[0].strip()).stem.lower()] = int(row[1])
    if not counts:
        raise DatasetError(f"{name}: {table} holds no counts; unpack it again")
    return counts


class CVPPPLeafCounting(CountingDataset):
    """CVPPP 2017 leaf counting challenge: leaf counts, and leaf centres as dots.

    ``part``: A1, A2, A3 (tobacco) or A4. The table's count is the truth; the dots are given
    where there are as many of them.
    """

    name: ClassVar[str] = "cvppp_lcc"
    classes = ("leaf",)

    def __init__(self, root: str | Path, *, part: str = "A1") -> None:
        folder = Path(root) / part
        counts = read_counts(folder / f"{part}.csv", name=self.name, layout=LCC_LAYOUT)
        stems = sorted((stem.removesuffix("_rgb") for stem in counts), key=natural_key)
        self.ids = tuple(stems)
        self._counts = [counts.get(stem, counts.get(f"{stem}_rgb", 0)) for stem in stems]
        self._pictures = [folder / f"{stem}_rgb.png" for stem in stems]
        self._centres = [folder / f"{stem}_centers.png" for stem in stems]
        require_files(self._pictures, name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        count = self._counts[index]
        if self._centres[index].is_file():
            places = read_dots(self._centres[index], self.path(index), name=self.name)
            dots = Annotation.of_points(places)
            if dots.count == count:
                return dots
        return Annotation(count=float(count))


class AraRosettes(CountingDataset):
    """16 Arabidopsis plants of the 2013 set, with a mask of leaves each; points are centroids."""

    name: ClassVar[str] = "ara2013_rosettes"
    classes = ("leaf",)

    def __init__(self, root: str | Path) -> None:
        folder = Path(root)
        self._table = folder / "Leaf_counts.csv"
        counts = read_counts(self._table, name=self.name, layout=ARA_LAYOUT)
        self.ids = tuple(sorted(counts, key=natural_key))
        self._counts = [counts[one] for one in self.ids]
        self._pictures = [folder / "data" / f"{one}_rgb.png" for one in self.ids]
        self._masks = [folder / "data" / f"{one}_label.png" for one in self.ids]
        require_files(self._pictures, name=self.name, what="picture")
        require_files(self._masks, name=self.name, what="mask")

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        mask = read_mask(self._masks[index], self.path(index), name=self.name)
        found = Annotation.of_points(centroids(instances(mask, by_region=False)))
        if found.count != self._counts[index]:
            raise DatasetError(
                f"{self.name}: {self._masks[index]} shows {found.count:g} leaves and "
                f"{self._table.name} states {self._counts[index]}; unpack both again"
            )
        return found
