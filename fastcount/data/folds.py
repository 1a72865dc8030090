"""Cross validation: any data set cut into folds by what its pictures show."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcount.data.base import CountingDataset
from fastcount.data.sample import Annotation
from fastcount.data.split import content_hash


class Fold(CountingDataset):
    """The pictures of ``dataset`` in fold ``number`` (from 1) of ``folds``, or all the others.

    A picture's fold depends on its pixels and ``folds`` alone, so duplicates share one, also
    across data sets, and adding pictures moves no other picture. Folds are about equally large.
    Every picture is decoded once; one that cannot be read goes by its name.

    Raises ``ValueError`` for fewer than two folds, a number beyond them and a fold without
    pictures.
    """

    def __init__(
        self, dataset: CountingDataset, number: int, folds: int, *, others: bool = False
    ) -> None:
        if folds < 2 or not 1 <= number <= folds:
            raise ValueError(f"fold: need NUMBER/FOLDS like 1/4, got {number}/{folds}")
        self.dataset = dataset
        self.name = dataset.name  # type: ignore[misc]  # of the data set, not of the class
        self.rendered = dataset.rendered  # type: ignore[misc]
        self.classes = dataset.classes
        self._places = [
            place
            for place in range(len(dataset))
            if (_fold_of(dataset, place, folds) == number) != others
        ]
        self.ids = tuple(dataset.ids[place] for place in self._places)
        if not self.ids:
            raise ValueError(
                f"fold: {number}/{folds} leaves no picture of the {len(dataset)}; use fewer folds"
            )

    def path(self, index: int) -> Path:
        return self.dataset.path(self._places[index])

    def picture(self, index: int) -> NDArray[np.uint8]:
        return self.dataset.picture(self._places[index])

    def annotation(self, index: int) -> Annotation:
        return self.dataset.annotation(self._places[index])


def parse_fold(text: str) -> tuple[int, int]:
    """``"2/4"`` as (2, 4). Raises ``ValueError``."""
    number, slash, folds = text.partition("/")
    if not slash or not number.isdecimal() or not folds.isdecimal():
        raise ValueError(f"fold: need NUMBER/FOLDS like 1/4, got {text!r}")
    return int(number), int(folds)


def _fold_of(dataset: CountingDataset, place: int, folds: int) -> int:
    """1 to ``folds``."""
    try:
        content = content_hash(dataset, place)
    except (ValueError, OSError):
        content = dataset.ids[place]
    digest = hashlib.sha256(f"fold:{content}".encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % folds
