"""Heads in video frames, in the layout of MOTChallenge: CroHD and GTA_Head come in it.

Sundararaman et al., Tracking Pedestrian Heads in Dense Crowd, CVPR 2021 (CroHD); Zhong et al.,
Mask Focal Loss (GTA_Head).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fastcount.data.base import CountingDataset, DatasetError, errors_of
from fastcount.data.folder import natural_key, pictures_in
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text

LAYOUT = "PATH/SPLIT/SEQUENCE/{img1/000001.jpg,gt/gt.txt}"


class MOT(CountingDataset):
    """Frames with boxes, counted one by one, without tracking.

    A line of ``gt.txt`` is ``frame,id,left,top,width,height,flag,...``, pixels and frames counted
    from 1. What has the flag 0 is not to be counted and is left out, as are boxes without area.
    The frame's number is the picture's name. A frame without a line holds nobody.

    ``split``: a folder of sequences. ``sequences``: names, separated by commas; all by default.
    ``every``: takes each n-th frame of a sequence, since neighbouring frames are nearly alike.
    """

    name: ClassVar[str] = "mot"
    classes = ("head",)

    def __init__(
        self,
        root: str | Path,
        *,
        split: Literal["train", "test"] = "train",
        sequences: str = "",
        every: int = 1,
    ) -> None:
        if every < 1:
            raise ValueError(f"every: need at least 1, got {every}")
        folder = Path(root) / split
        if not folder.is_dir():
            raise DatasetError(f"{self.name}: no folder {folder}; expected {LAYOUT}")
        there = {one.name: one for one in folder.iterdir() if (one / "img1").is_dir()}
        wanted = [one.strip() for one in sequences.split(",") if one.strip()]
        missing = sorted(set(wanted) - set(there))
        if missing or not there:
            raise DatasetError(
                f"{self.name}: no sequence {missing[0] if missing else ''} in {folder}; there are "
                f"{', '.join(sorted(there)) or 'none'}; expected {LAYOUT}"
            )
        self._frames = [
            frame
            for sequence in wanted or sorted(there, key=natural_key)
            for frame in pictures_in(there[sequence] / "img1", name=self.name, layout=LAYOUT)[
                ::every
            ]
        ]
        self.ids = tuple(f"{frame.parent.parent.name}/{frame.stem}" for frame in self._frames)
        self._boxes: dict[Path, dict[int, NDArray[np.float64]]] = {}

    def path(self, index: int) -> Path:
        return self._frames[index]

    def annotation(self, index: int) -> Annotation:
        frame = self._frames[index]
        file = frame.parent.parent / "gt" / "gt.txt"
        if not frame.stem.isdecimal():
            raise DatasetError(f"{self.name}: {frame} is not named by its frame's number")
        if file not in self._boxes:  # read once, not once a frame
            self._boxes[file] = _read(self.name, file)
        boxes = self._boxes[file].get(int(frame.stem), np.zeros((0, 4)))
        with errors_of(f"{self.name}: frame {int(frame.stem)} in {file}"):
            return Annotation.of_boxes(boxes, np.zeros(len(boxes), dtype=np.int64))


class CroHD(MOT):
    """CroHD (HT21): crowds filmed from above, nine sequences, of which four have public boxes."""

    name: ClassVar[str] = "crohd"


class GTAHead(MOT):
    """GTA_Head: rendered crowds, 24 scenes to train on and 11 to test on."""

    name: ClassVar[str] = "gta_head"


def _read(name: str, file: Path) -> dict[int, NDArray[np.float64]]:
    """Boxes (N, 4) in edge coordinates by frame."""
    found: dict[int, list[list[float]]] = defaultdict(list)
    if not file.is_file():
        raise DatasetError(
            f"{name}: no annotation {file}; the test sequences of a challenge have none"
        )
    lines = read_text(file, name=name, expected=LAYOUT).splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = [float(value) for value in line.split(",")]
            if not np.isfinite(values[:6]).all():
                raise ValueError("a number is not finite")
            frame, (left, top, width, height) = int(values[0]), values[2:6]
            flag = values[6] if len(values) > 6 else 1.0
        except (ValueError, IndexError) as error:
            raise DatasetError(
                f"{name}: {file}, line {number}: {error}; expected "
                "frame,id,left,top,width,height,flag,..."
            ) from error
        if flag != 0 and width > 0 and height > 0:
            found[frame].append([left - 1, top - 1, left - 1 + width, top - 1 + height])
    return {frame: np.array(boxes) for frame, boxes in found.items()}
