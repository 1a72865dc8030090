"""Boxes in the JSON of COCO.

Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import plain_path, require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_json

LAYOUT = "COCO's JSON with images, annotations and categories"


@dataclass
class _Found:
    """The objects of one picture, or what is wrong with one of them."""

    boxes: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    broken: str = ""


class COCO(CountingDataset):
    """Objects with boxes and classes from one annotation file (``root``).

    ``pictures``: folder of the pictures, relative to the file's own. Classes are the file's
    categories in order of their numbers. Regions marked ``iscrowd`` hold nobody knows how many
    objects: they are left out. Boxes are x, y, width, height in edge coordinates; those of no
    width or height are left out. Pictures without an object stay in. An annotation of a picture
    that is not listed is an error of the file, a broken one an error of its picture.
    """

    name: ClassVar[str] = "coco"

    def __init__(self, root: str | Path, *, pictures: str = "") -> None:
        self._file = Path(root)
        content: dict[str, Any] = read_json(self._file, name=self.name, expected=LAYOUT)
        try:
            names = {plain_path(str(image["file_name"])) for image in content["images"]}
            if not names or len(names) != len(content["images"]):
                raise ValueError("the file lists no picture, or one twice")
            _require_distinct_ids(content["images"], "images", "file_name")
            _require_distinct_ids(content["categories"], "categories", "name")
            images = sorted(content["images"], key=lambda image: image["id"])
            categories = sorted(content["categories"], key=lambda one: one["id"])
            self.classes = tuple(str(one["name"]) for one in categories)
            self.ids = tuple(plain_path(str(image["file_name"])) for image in images)
            found = {image["id"]: _Found() for image in images}
            numbers = {one["id"]: index for index, one in enumerate(categories)}
            if not isinstance(content["annotations"], list):
                raise TypeError(f"annotations is {content['annotations']!r:.200}, no list")
            for place, item in enumerate(content["annotations"]):
                _add(item, place, found, numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{self.name}: cannot read {self._file} ({type(error).__name__}: {error}); "
                f"expected {LAYOUT}"
            ) from error
        self._found = list(found.values())
        self._folder = self._file.parent / pictures
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._folder / self.ids[index]

    def annotation(self, index: int) -> Annotation:
        found = self._found[index]
        try:
            if found.broken:
                raise ValueError(found.broken)
            labels = np.array(found.labels, dtype=np.int64)
            return Annotation.of_boxes(np.array(found.boxes), labels)
        except ValueError as error:
            raise DatasetError(
                f"{self.name}: {self.ids[index]} in {self._file}: {error}; mend the file"
            ) from error


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


def _require_distinct_ids(entries: list[dict[str, Any]], what: str, label: str) -> None:
    """Raises ``ValueError`` for an id of two ``entries``, and for ids that are not of one kind."""
    known: dict[Any, dict[str, Any]] = {}
    for place, entry in enumerate(entries):
        number = entry["id"]
        if isinstance(number, bool) or not isinstance(number, int | float | str):
            raise ValueError(f"{what}[{place}] has the id {number!r}; give it a whole number")
        if isinstance(number, str) != isinstance(entries[0]["id"], str):
            raise ValueError(
                f"{what}[{place}] has the id {number!r} and {what}[0] {entries[0]['id']!r}; write "
                "all as numbers, or all as text"
            )
        other = known.setdefault(number, entry)
        if other is not entry:
            raise ValueError(
                f"{what} {other[label]!r} and {entry[label]!r} share the id {number!r}; give each "
                "its own"
            )


def _add(
    item: dict[str, Any], place: int, found: dict[Any, _Found], numbers: dict[Any, int]
) -> None:
    """Puts one annotation to its picture's; ``ValueError`` where it belongs to none."""
    owner = item["image_id"]
    if owner not in found:
        known = next((one for one in found if str(one) == str(owner)), None)
        cure = (
            f"the picture's is {known!r}: write both as numbers, or both as text"
            if known is not None
            else "list the picture, or take out its annotations"
        )
        raise ValueError(f"annotations[{place}] has the image_id {owner!r} of no picture; {cure}")
    picture = found[owner]
    crowd = item.get("iscrowd")
    if crowd not in (None, 0, 1):  # "0", say, is no 0
        picture.broken = picture.broken or f"annotations[{place}] has the iscrowd {crowd!r:.200}"
    if crowd:
        return
    try:
        if not isinstance(item["bbox"], list):
            raise TypeError("no list")
        x, y, width, height = (float(value) for value in item["bbox"])
        if not all(map(math.isfinite, (x, y, width, height))):
            raise ValueError("not finite")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        picture.broken = picture.broken or (
            f"annotations[{place}] has the bbox {item.get('bbox')!r:.200} ({error}), expected four "
            "finite numbers"
        )
        return
    category = item.get("category_id")
    if not isinstance(category, int | float | str) or category not in numbers:
        picture.broken = picture.broken or (
            f"annotations[{place}] has the category_id {category!r}, which is no category's"
        )
    elif width > 0 and height > 0:
        picture.boxes.append([x, y, x + width, y + height])
        picture.labels.append(numbers[category])
