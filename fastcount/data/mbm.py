"""MBM: cell nuclei in stained bone marrow.

Kainz et al., You Should Use Regression to Detect Cells, MICCAI 2015; cut to 600 x 600 pixels by
Cohen et al., Count-ception, ICCV Workshops 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from fastcount.data.base import CountingDataset
from fastcount.data.dot_pictures import read_dots
from fastcount.data.folder import pictures_in, require_files, stems_of
from fastcount.data.sample import Annotation

LAYOUT = "PATH/BM_GRAZ_HE_0001_01_000.png beside PATH/BM_GRAZ_HE_0001_01_dots_000.png"


class MBM(CountingDataset):
    """44 pictures of 600 x 600 pixels with 126 nuclei on average, dotted in ``_dots_`` files."""

    name: ClassVar[str] = "mbm"
    classes = ("nucleus",)

    def __init__(self, root: str | Path) -> None:
        pictures = pictures_in(Path(root), name=self.name, layout=LAYOUT)
        self._pictures = [path for path in pictures if "_dots_" not in path.name]
        self._dots = [
            path.with_name("_dots_".join(path.name.rsplit("_", 1))) for path in self._pictures
        ]
        require_files(self._dots, name=self.name, what="annotation")
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        dots = read_dots(self._dots[index], self.path(index), name=self.name)
        return Annotation.of_points(dots)
