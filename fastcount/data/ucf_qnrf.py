"""UCF-QNRF crowds.

Idrees et al., Composition Loss for Counting, Density Map Estimation and Localization in Dense
Crowds, ECCV 2018.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from fastcount.data.base import CountingDataset
from fastcount.data.folder import pictures_in, require_files, stems_of
from fastcount.data.matlab import finite_dots, read_matlab
from fastcount.data.sample import Annotation

LAYOUT = "PATH/Train/{img_0001.jpg,img_0001_ann.mat} and PATH/Test/..."


class UCFQNRF(CountingDataset):
    """Head dots in 1,201 training and 334 test pictures, up to 12,865 in one.

    The dots were clicked in MATLAB, so 1 is taken off, as in ShanghaiTech.
    """

    name: ClassVar[str] = "ucf_qnrf"
    classes = ("person",)

    def __init__(self, root: str | Path, *, split: Literal["train", "test"] = "train") -> None:
        folder = Path(root) / split.capitalize()
        self._pictures = pictures_in(folder, name=self.name, layout=LAYOUT)
        self._truths = [path.with_name(f"{path.stem}_ann.mat") for path in self._pictures]
        require_files(self._truths, name=self.name, what="annotation")
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        file = self._truths[index]
        with read_matlab(file, name=self.name, holds="annPoints (N, 2)") as content:
            dots = finite_dots(content["annPoints"])
        return Annotation.of_points(dots - 1)
