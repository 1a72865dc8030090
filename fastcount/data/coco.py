"""Boxes in the JSON of COCO.

Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_json

LAYOUT = "COCO's JSON with images, annotations and categories"


class COCO(CountingDataset):
    """Objects with boxes and classes from one annotation file (``root``).

    ``pictures``: folder of the pictures, relative to the file's own. Classes are the file's
    categories in order of their numbers. Regions marked ``iscrowd`` hold nobody knows how many
    objects: they are left out. Boxes are x, y, width, height in edge coordinates; those of no
    width or height are left out. Pictures without an object stay in.
    """

    name: ClassVar[str] = "coco"

    def __init__(self, root: str | Path, *, pictures: str = "") -> None:
        self._file = Path(root)
        content: dict[str, Any] = read_json(self._file, name=self.name, expected=LAYOUT)
        try:
            images = sorted(content["images"], key=lambda image: image["id"])
            categories = sorted(content["categories"], key=lambda one: one["id"])
            self.classes = tuple(str(one["name"]) for one in categories)
            number = {one["id"]: index for index, one in enumerate(categories)}
            found: dict[Any, list[tuple[list[float], int]]] = defaultdict(list)
            for item in content["annotations"]:
                x, y, width, height = (float(value) for value in item["bbox"])
                if not item.get("iscrowd") and width > 0 and height > 0:
                    box = [x, y, x + width, y + height]
                    found[item["image_id"]].append((box, number[item["category_id"]]))
            self.ids = tuple(str(image["file_name"]) for image in images)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(
                f"{self.name}: cannot read {self._file} ({type(error).__name__}: {error}); "
                f"expected {LAYOUT}"
            ) from error
        if not self.ids or len(set(self.ids)) != len(self.ids):
            raise DatasetError(f"{self.name}: {self._file} lists no picture, or one twice")
        self._found = [found[image["id"]] for image in images]
        self._folder = self._file.parent / pictures
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._folder / self.ids[index]

    def annotation(self, index: int) -> Annotation:
        boxes = np.array([box for box, _ in self._found[index]])
        labels = np.array([label for _, label in self._found[index]], dtype=np.int64)
        return Annotation.of_boxes(boxes, labels)


class COCOCount(COCO):
    """COCO as unpacked: ``root`` holds ``annotations/instances_train2014.json`` and ``train2014``.

    ``split`` and ``year`` name both; 2014 is the year of the counting papers, which halve the
    validation split: ``count-val`` to choose on, the first half of its pictures by their numbers,
    and ``count-test`` to test on. CountSeg does not say which pictures its halves hold.
    """

    name: ClassVar[str] = "coco_count"

    def __init__(
        self,
        root: str | Path,
        *,
        split: Literal["train", "val", "count-val", "count-test"] = "train",
        year: int = 2014,
    ) -> None:
        files = "train" if split == "train" else "val"
        file = Path(root) / "annotations" / f"instances_{files}{year}.json"
        super().__init__(file, pictures=f"../{files}{year}")
        half = len(self.ids) // 2
        kept = {"count-val": slice(half), "count-test": slice(half, None)}.get(split, slice(None))
        self.ids, self._found = self.ids[kept], self._found[kept]
