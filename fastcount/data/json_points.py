"""A list of pictures with their dots in JSON, as ``fastcount count --format json`` prints it.

It prints paths as they were given to it: read its output with ``pictures=`` and the folder it was
run in, where that is not the file's own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcount.class_names import UNNAMED
from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import plain_path, require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_json

LAYOUT = 'a JSON list of {"path": ..., "points": [[x, y], ...]}'


class JSONPoints(CountingDataset):
    """``[{"path": "a.jpg", "points": [[x, y], ...]}, {"path": "b.jpg", "count": 3}, ...]``.

    ``path``: relative to the file's folder (or to ``pictures``); ``./a.png`` is ``a.png``.
    ``points``: pixel indices; an empty list means an empty picture. ``count`` alone gives a count
    without places; beside points it must be their number. ``labels`` beside points names the
    class of each; in a file where any picture has labels, all with points need them. Pictures
    that ``fastcount count`` could not count (they have an ``error``) are left out.
    """

    name: ClassVar[str] = "json"

    def __init__(self, root: str | Path, *, pictures: str = "") -> None:
        file = Path(root)
        entries = read_json(file, name=self.name, expected=LAYOUT)
        if not isinstance(entries, list) or not entries:
            raise DatasetError(f"{self.name}: {file} holds no list of pictures")
        labels: set[str] = set()
        annotations: dict[str, Annotation] = {}
        names: dict[str, list[str]] = {}
        for number, entry in enumerate(entries):
            if isinstance(entry, dict) and entry.get("error"):
                continue
            try:
                path = entry["path"]
                if not isinstance(path, str) or plain_path(path) in annotations:
                    raise ValueError(f"path {path!r} is not a string or occurs twice")
                path = plain_path(path)
                annotations[path], names[path] = _annotation(entry)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise DatasetError(
                    f"{self.name}: {file}, entry {number}: {type(error).__name__} {error}; each "
                    'needs "path" and "points" ([[x, y], ...]) or "count"'
                ) from error
            labels.update(names[path])
        self._folder = file.parent / pictures
        self._file = file
        self._annotations, self._labels = annotations, names
        self.ids = tuple(annotations)
        if labels:
            self.classes = tuple(sorted(labels))
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._folder / self.ids[index]

    def annotation(self, index: int) -> Annotation:
        key = self.ids[index]
        found, labels = self._annotations[key], self._labels[key]
        if self.classes == UNNAMED or found.points is None:
            return found
        if len(labels) != len(found.points):
            raise DatasetError(
                f"{self.name}: {key} in {self._file} has {len(found.points)} points and "
                f"{len(labels)} labels; give each point its label"
            )
        numbers = np.array([self.classes.index(label) for label in labels], dtype=np.int64)
        return replace(found, labels=numbers)


def _annotation(entry: dict[str, Any]) -> tuple[Annotation, list[str]]:
    """The truth of one entry and the names of its labels."""
    count = entry.get("count")
    if isinstance(count, float) and not math.isfinite(count):
        raise ValueError(f"count {count} is not finite")
    if entry.get("points") is None:
        if isinstance(count, bool) or not isinstance(count, int | float) or not count >= 0:
            raise ValueError(f"count {count!r} is not a number of at least 0")
        return Annotation(count=float(count)), []
    points: NDArray[np.float64] = np.asarray(entry["points"], dtype=np.float64)
    empty = points.shape == (0,)
    if not empty and (points.shape != (len(entry["points"]), 2) or not np.isfinite(points).all()):
        raise ValueError(f"points of shape {points.shape} are not finite (N, 2)")
    found = Annotation.of_points(points)
    if count is not None and round(count) != found.count:
        raise ValueError(f"count {count} beside {len(points)} points")
    return found, [str(label) for label in entry.get("labels") or ()]
