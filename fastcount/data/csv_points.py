"""A table of dots: ``path,x,y`` in CSV, one row an object."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import ClassVar

import numpy as np

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.folder import require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text


class CSVPoints(CountingDataset):
    """Dots in a table with the header ``path,x,y`` and, if wanted, ``label``.

    ``path``: the picture, relative to the table's folder (or to ``pictures``). ``x``, ``y``: in
    pixel indices, the centre of the top-left pixel being (0, 0). A picture with nothing in it
    has one row with ``x`` and ``y`` left empty. Rows of one picture need not stand together.
    A table ``path,count`` gives counts without places. Errors name the line.
    """

    name: ClassVar[str] = "csv"

    def __init__(self, root: str | Path, *, pictures: str = "") -> None:
        table = Path(root)
        if not table.is_file():
            raise DatasetError(f"{self.name}: no file {table}; expected a table path,x,y")
        self._folder = table.parent / pictures
        rows: dict[str, list[tuple[float, float]]] = {}
        counts: dict[str, float] = {}
        labels: dict[str, list[str]] = {}
        text = read_text(table, name=self.name, expected="a table path,x,y")
        with io.StringIO(text, newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            header = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = header
            self._has_points = {"path", "x", "y"} <= set(header)
            if not self._has_points and not {"path", "count"} <= set(header):
                raise DatasetError(
                    f"{self.name}: {table} has the columns {','.join(header) or '(none)'}; its "
                    "first line must be path,x,y or path,count"
                )
            try:
                for row in reader:
                    path = (row["path"] or "").strip()
                    if not path:
                        raise ValueError("no path")
                    if any(cell.strip() for cell in row.get(None) or ()):
                        raise ValueError(
                            "more cells than the header has columns; are there decimal commas?"
                        )
                    if not self._has_points:
                        if path in counts:
                            raise ValueError(f"{path} is counted twice")
                        counts[path] = _number(row["count"])
                        if counts[path] < 0:
                            raise ValueError("a negative count")
                        continue
                    dots = rows.setdefault(path, [])
                    if not (row["x"] or "").strip() and not (row["y"] or "").strip():
                        continue
                    dots.append((_number(row["x"]), _number(row["y"])))
                    labels.setdefault(path, []).append((row.get("label") or "object").strip())
            except (ValueError, csv.Error) as error:
                raise DatasetError(
                    f"{self.name}: {table}, line {reader.line_num}: {error}; mend the row"
                ) from error
        self._rows, self._counts, self._labels = rows, counts, labels
        self.ids = tuple(rows if self._has_points else counts)
        if not self.ids:
            raise DatasetError(f"{self.name}: {table} has no rows below its header")
        if "label" in header:
            self.classes = tuple(sorted({label for some in labels.values() for label in some}))
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._folder / self.ids[index]

    def annotation(self, index: int) -> Annotation:
        key = self.ids[index]
        if not self._has_points:
            return Annotation(count=self._counts[key])
        dots = Annotation.of_points(np.array(self._rows[key], dtype=np.float32))
        if self.classes == ("object",):
            return dots
        numbers = [self.classes.index(label) for label in self._labels.get(key, [])]
        return Annotation(dots.count, dots.points, labels=np.array(numbers, dtype=np.int64))


def _number(text: str | None) -> float:
    value = float(text) if text is not None and text.strip() else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value
