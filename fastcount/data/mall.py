"""Mall: 2,000 frames of one camera in a shopping mall.

Chen et al., Feature Mining for Localised Crowd Counting, BMVC 2012.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import pictures_in, require_files, stems_of
from fastcount.data.matlab import finite_dots, read_matlab
from fastcount.data.sample import Annotation

LAYOUT = "PATH/{frames/seq_000001.jpg,mall_gt.mat}"
FRAMES_FOR_TRAINING = 800


class Mall(CountingDataset):
    """Head dots in 2,000 frames of 480 x 640 pixels; the first 800 are for training.

    The dots were clicked in MATLAB, so 1 is taken off, as in ShanghaiTech.
    """

    name: ClassVar[str] = "mall"
    classes = ("person",)

    def __init__(
        self, root: str | Path, *, split: Literal["train", "test", "all"] = "train"
    ) -> None:
        folder = Path(root)
        pictures = pictures_in(folder / "frames", name=self.name, layout=LAYOUT)
        self._truth = folder / "mall_gt.mat"
        require_files([self._truth], name=self.name, what="annotation")
        with read_matlab(self._truth, name=self.name, holds="frame{i}.loc, count(i)") as content:
            self._frames: list[Any] = list(content["frame"].ravel())
            self._counts = [int(count) for count in content["count"].ravel()]
        if not len(pictures) == len(self._frames) == len(self._counts):
            raise DatasetError(
                f"{self.name}: {len(pictures)} frames in {folder / 'frames'}, but "
                f"{len(self._frames)} annotated in {self._truth}; unpack the data set again"
            )
        first, last = {
            "train": (0, FRAMES_FOR_TRAINING),
            "test": (FRAMES_FOR_TRAINING, len(pictures)),
            "all": (0, len(pictures)),
        }[split]
        self._first = first
        self._pictures = pictures[first:last]
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        number = self._first + index
        try:
            dots = finite_dots(self._frames[number]["loc"][0, 0])
            if len(dots) != self._counts[number]:
                raise ValueError(f"{len(dots)} dots where {self._counts[number]} are stated")
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{self.name}: frame {number + 1} of {self._truth} is broken ({error}); unpack "
                "the file from the archive again"
            ) from error
        return Annotation.of_points(dots - 1)
