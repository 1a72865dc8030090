"""CrowdHuman: people with boxes of head, visible part and body, a JSON document a line.

Shao et al., CrowdHuman: A Benchmark for Detecting Human in a Crowd, 2018.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError, errors_of
from fastcount.data.folder import require_distinct, require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text

_KEYS = {"head": "hbox", "visible": "vbox", "full": "fbox"}
LAYOUT = "PATH/{annotation_SPLIT.odgt,Images/ID.jpg}"


class CrowdHuman(CountingDataset):
    """``root`` holds ``annotation_train.odgt``, ``annotation_val.odgt`` and ``Images``.

    ``box``: which of the three boxes to take. Left out are entries that are no person (crowds too
    dense to box, reflections), and people marked to be ignored, for their head where heads are
    taken; so are boxes without area. Boxes are left, top, width, height in edge coordinates, and
    may reach beyond the picture.
    """

    name: ClassVar[str] = "crowdhuman"

    def __init__(
        self,
        root: str | Path,
        *,
        split: Literal["train", "val"] = "train",
        box: Literal["head", "visible", "full"] = "head",
    ) -> None:
        folder = Path(root)
        self._file = folder / f"annotation_{split}.odgt"
        self._pictures = folder / "Images"
        self.classes = ("head" if box == "head" else "person",)
        self._found: list[list[list[float]]] = []
        names: list[str] = []
        lines = read_text(self._file, name=self.name, expected=LAYOUT).splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                document = json.loads(line)
                entries = document["gtboxes"]
                if not isinstance(entries, list):
                    raise TypeError(f"gtboxes is {entries!r:.200}, no list")
                names.append(str(document["ID"]))
                self._found.append([found for one in entries if (found := _box(one, box))])
            except (
                AttributeError,
                KeyError,
                TypeError,
                ValueError,
                OverflowError,
                RecursionError,
            ) as error:
                raise DatasetError(
                    f"{self.name}: {self._file}, line {number}: {type(error).__name__} {error}; "
                    "download the file again"
                ) from error
        self.ids = tuple(names)
        require_distinct(self.ids, self._file, name=self.name)
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._pictures / f"{self.ids[index]}.jpg"

    def annotation(self, index: int) -> Annotation:
        boxes = np.array(self._found[index])
        with errors_of(f"{self.name}: {self.ids[index]} in {self._file}"):
            return Annotation.of_boxes(boxes, np.zeros(len(boxes), dtype=np.int64))


def _box(one: dict[str, Any], kind: str) -> list[float] | None:
    """x1, y1, x2, y2 of one entry, None where it is not to be counted."""
    marks = one.get("head_attr" if kind == "head" else "extra", {})
    if one["tag"] != "person" or one.get("extra", {}).get("ignore") or marks.get("ignore"):
        return None
    left, top, width, height = (float(value) for value in one[_KEYS[kind]])
    if math.isnan(width) or math.isnan(height):
        raise ValueError(f"the {_KEYS[kind]} {one[_KEYS[kind]]!r:.200} is not finite")
    if not (width > 0 and height > 0):
        return None
    return [left, top, left + width, top + height]
