"""Boxes in the layout of Pascal VOC; BCCD (blood cells) comes in it, too.

Everingham et al., The Pascal Visual Object Classes Challenge, IJCV 2010.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import ClassVar

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import require_distinct, require_files
from fastcount.data.label_names import split_names
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text
from fastcount.pictures import SUFFIXES

LAYOUT = "PATH/{Annotations/ID.xml,JPEGImages/ID.jpg,ImageSets/Main/SPLIT.txt}"


class VOC(CountingDataset):
    """Objects with boxes and classes; the count is that of all classes together.

    ``split``: a list in ImageSets/Main, such as train, val, trainval or test. ``classes``: their
    names, separated by commas, where they are not the usual 20; an object of another name is an
    error. ``difficult=false`` leaves out objects marked as difficult. Boxes are whole pixels
    counted from 1, both ends within: they become xmin - 1, ymin - 1, xmax, ymax. Boxes whose
    ends coincide or are swapped are slips of the annotator (BCCD has two) and are left out.
    """

    name: ClassVar[str] = "voc"
    classes: tuple[str, ...] = (
        *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
        *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
        *("train", "tvmonitor"),
    )

    def __init__(
        self, root: str | Path, *, split: str = "train", classes: str = "", difficult: bool = True
    ) -> None:
        folder = Path(root)
        listing = folder / "ImageSets" / "Main" / f"{split}.txt"
        if not listing.is_file():
            known = sorted(path.stem for path in listing.parent.glob("*.txt"))
            raise DatasetError(
                f"{self.name}: no {listing}; splits there: {', '.join(known) or 'none'}; expected "
                f"{LAYOUT}"
            )
        self.classes = split_names(classes, self.classes)
        self.ids = tuple(
            line.split()[0]
            for line in read_text(listing, name=self.name, expected=LAYOUT).splitlines()
            if line.strip()
        )
        require_distinct(self.ids, listing, name=self.name)
        self._difficult = difficult
        self._truths = [folder / "Annotations" / f"{one}.xml" for one in self.ids]
        by_stem = {
            path.stem: path
            for path in (folder / "JPEGImages").glob("*")
            if path.suffix.lower() in SUFFIXES
        }
        missing = folder / "JPEGImages"
        self._pictures = [by_stem.get(one, missing / f"{one}.jpg") for one in self.ids]
        require_files(self._truths, name=self.name, what="annotation")
        require_files(self._pictures, name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        file = self._truths[index]
        boxes, labels = [], []
        try:
            root = ElementTree.parse(file).getroot()
            if root.tag != "annotation":
                raise ValueError(f"a document of <{root.tag:.100}>, expected <annotation>")
            for item in root.findall("object"):
                if not self._difficult and item.findtext("difficult", "0").strip() == "1":
                    continue
                corners = [
                    float(item.findtext(f"bndbox/{side}", "none").strip())
                    for side in ("xmin", "ymin", "xmax", "ymax")
                ]
                label = self._label(item.findtext("name", "").strip())
                if not np.isfinite(corners).all():
                    raise ValueError(f"a box {corners} is not finite")
                if corners[2] > corners[0] and corners[3] > corners[1]:
                    boxes.append([corners[0] - 1, corners[1] - 1, corners[2], corners[3]])
                    labels.append(label)
            return Annotation.of_boxes(np.array(boxes), np.array(labels, dtype=np.int64))
        except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
            raise DatasetError(
                f"{self.name}: cannot read {file} ({error}); mend the file or unpack it again"
            ) from error

    def _label(self, name: str) -> int:
        if name not in self.classes:
            raise ValueError(
                f"class {name!r} is none of {', '.join(self.classes)}; give classes=NAME,NAME,..."
            )
        return self.classes.index(name)


class BCCD(VOC):
    """BCCD: 364 blood smears with boxes of red cells, white cells and platelets, in VOC layout.

    Not every cell is boxed: those cut by the border often are not.
    """

    name: ClassVar[str] = "bccd"
    classes = ("RBC", "WBC", "Platelets")


class VOCCount(VOC):
    """VOC as CountSeg counts it: objects marked as difficult are not asked for."""

    name: ClassVar[str] = "voc_count"

    def __init__(
        self, root: str | Path, *, split: str = "train", classes: str = "", difficult: bool = False
    ) -> None:
        super().__init__(root, split=split, classes=classes, difficult=difficult)


class SCUTHead(VOC):
    """SCUT-HEAD: heads in classrooms, boxed; ``root`` is one of its parts, in VOC layout.

    Peng et al., Detecting Heads using Feature Refine Net and Cascaded Multi-scale Architecture,
    ICPR 2018.
    """

    name: ClassVar[str] = "scut_head"
    classes = ("person",)
