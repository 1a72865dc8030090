"""ShanghaiTech crowds, parts A and B.

Zhang et al., Single-Image Crowd Counting via Multi-Column Convolutional Neural Network, CVPR 2016.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from fastcount.data.base import CountingDataset
from fastcount.data.folder import existing_folder, pictures_in, require_files, stems_of
from fastcount.data.matlab import finite_dots, read_matlab
from fastcount.data.sample import Annotation

LAYOUT = "PATH/part_A/train_data/{images/IMG_1.jpg,ground_truth/GT_IMG_1.mat}"


class ShanghaiTech(CountingDataset):
    """Head dots in 482 (A) and 716 (B) pictures of crowds.

    ``root`` holds ``part_A`` and ``part_B`` (or ``part_A_final`` ...), as unpacked. The dots
    were clicked in MATLAB, where the centre of the top-left pixel is (1, 1); here it is (0, 0),
    so 1 is taken off. Hundreds of dots lie outside their picture, the farthest more than
    3,000 pixels: they are part of the published counts and stay.
    """

    name: ClassVar[str] = "shanghaitech"
    classes = ("person",)

    def __init__(
        self,
        root: str | Path,
        *,
        part: Literal["A", "B"] = "A",
        split: Literal["train", "test"] = "train",
    ) -> None:
        folder = existing_folder(
            Path(root),
            (f"part_{part}/{split}_data", f"part_{part}_final/{split}_data"),
            name=self.name,
            layout=LAYOUT,
        )
        truth = existing_folder(
            folder, ("ground_truth", "ground-truth"), name=self.name, layout=LAYOUT
        )
        self._pictures = pictures_in(folder / "images", name=self.name, layout=LAYOUT)
        self._truths = [truth / f"GT_{path.stem}.mat" for path in self._pictures]
        require_files(self._truths, name=self.name, what="annotation")
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        file = self._truths[index]
        with read_matlab(file, name=self.name, holds="image_info{1}.location") as content:
            info = content["image_info"][0, 0][0, 0]
            dots = finite_dots(info["location"])
            number = int(np.asarray(info["number"]).item())
            if len(dots) != number:
                raise ValueError(f"{len(dots)} dots where {number} are stated")
        return Annotation.of_points(dots - 1)
