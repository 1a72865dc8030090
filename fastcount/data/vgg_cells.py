"""VGG cells: synthetic fluorescence microscopy.

Lempitsky and Zisserman, Learning To Count Objects in Images, NeurIPS 2010.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from fastcount.data.base import CountingDataset
from fastcount.data.dot_pictures import read_dots
from fastcount.data.folder import pictures_in, require_files, stems_of
from fastcount.data.sample import Annotation

LAYOUT = "PATH/001cell.png beside PATH/001dots.png"
_NAME = re.compile(r"([0-9]+)cell")


class VGGCells(CountingDataset):
    """200 pictures of 256 x 256 pixels with 174 cells on average, dotted in ``dots.png``.

    The pictures carry no split; the usual protocol trains on N of the first 100 and tests on
    the last 100. ``numbers="1-64"`` keeps the pictures of these numbers, both ends included.
    """

    name: ClassVar[str] = "vgg_cells"
    classes = ("cell",)

    def __init__(self, root: str | Path, *, numbers: str = "1-200") -> None:
        first, last = _range(numbers)
        named = (
            (path, _NAME.fullmatch(path.stem))
            for path in pictures_in(Path(root), name=self.name, layout=LAYOUT)
        )
        self._pictures = [path for path, name in named if name and first <= int(name[1]) <= last]
        self._dots = [
            path.with_name(path.stem.removesuffix("cell") + "dots.png") for path in self._pictures
        ]
        require_files(self._dots, name=self.name, what="annotation")
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        dots = read_dots(self._dots[index], self.path(index), name=self.name)
        return Annotation.of_points(dots)


def _range(numbers: str) -> tuple[int, int]:
    first, dash, last = numbers.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise ValueError(f"numbers must be FIRST-LAST, as 1-64, not {numbers!r}")
    return int(first), int(last)
