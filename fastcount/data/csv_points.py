"""A table of dots: ``path,x,y`` in CSV, one row an object."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fastcount.class_names import UNNAMED
from fastcount.data.base import CountingDataset, DatasetError, errors_of
from fastcount.data.folder import plain_path, require_files
from fastcount.data.sample import Annotation
from fastcount.data.texts import read_text


@dataclass
class _Picture:
    """What the rows of one picture say."""

    dots: list[tuple[float, float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    count: float | None = None
    line: int = 0  # which states the count


class CSVPoints(CountingDataset):
    """Dots in a table with the header ``path,x,y`` and, if wanted, ``label``.

    ``path``: the picture, relative to the table's folder (or to ``pictures``); ``./a.png`` is
    ``a.png``. ``x``, ``y``: in pixel indices, the centre of the top-left pixel being (0, 0). A
    picture with nothing in it has one row with ``x`` and ``y`` left empty. Rows of one picture
    need not stand together. A table ``path,count`` gives counts without places; a ``count``
    beside ``x,y`` must be the number of the picture's dots, or empty. Errors name the line.
    """

    name: ClassVar[str] = "csv"

    def __init__(self, root: str | Path, *, pictures: str = "") -> None:
        table = Path(root)
        if not table.is_file():
            raise DatasetError(f"{self.name}: no file {table}; expected a table path,x,y")
        self._table = table
        self._folder = table.parent / pictures
        self._found: dict[str, _Picture] = {}
        text = read_text(table, name=self.name, expected="a table path,x,y")
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        line = 1
        try:
            header = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = header
            self._has_points = {"path", "x", "y"} <= set(header)
            if not self._has_points and not {"path", "count"} <= set(header):
                raise ValueError(
                    f"it has the columns {','.join(header)[:200] or '(none)'}; the first line must "
                    "be path,x,y or path,count"
                )
            line = 2
            for row in reader:
                line = reader.line_num
                self._add(row, line)
                line += 1  # where a row that cannot be read begins
            for path, one in self._found.items():
                line = one.line
                if self._has_points and one.count is not None and one.count != len(one.dots):
                    raise ValueError(f"count {one.count:g} of {path} beside {len(one.dots)} dots")
        except (ValueError, csv.Error) as error:
            unclosed = isinstance(error, csv.Error) and "field limit" in str(error)
            cure = "close the quotation mark" if unclosed else "mend the row"
            raise DatasetError(f"{self.name}: {table}, line {line}: {error}; {cure}") from error
        self.ids = tuple(self._found)
        if not self.ids:
            raise DatasetError(f"{self.name}: {table} has no rows below its header")
        if "label" in header:
            occurring = {label for one in self._found.values() for label in one.labels}
            self.classes = tuple(sorted(occurring))
        self._numbers = {label: number for number, label in enumerate(self.classes)}
        require_files(map(self.path, range(len(self.ids))), name=self.name, what="picture")

    def path(self, index: int) -> Path:
        return self._folder / self.ids[index]

    def annotation(self, index: int) -> Annotation:
        found = self._found[self.ids[index]]
        if not self._has_points:
            return Annotation(count=found.count or 0.0)
        labels = None
        if self.classes != UNNAMED:
            labels = np.array([self._numbers[label] for label in found.labels], dtype=np.int64)
        with errors_of(f"{self.name}: {self.ids[index]} in {self._table}"):
            return Annotation.of_points(np.array(found.dots, dtype=np.float64), labels)

    def _add(self, row: dict[str | Any, Any], line: int) -> None:
        """Puts one row to its picture's; ``ValueError`` where it is broken."""
        if not (row["path"] or "").strip():
            raise ValueError("no path")
        path = plain_path(row["path"].strip())
        if "\n" in path:
            raise ValueError("a path of several lines; is a quotation mark never closed?")
        if any(cell.strip() for cell in row.get(None) or ()):
            raise ValueError("more cells than the header has columns; are there decimal commas?")
        if not self._has_points and path in self._found:
            raise ValueError(f"{path} is counted twice")
        one = self._found.setdefault(path, _Picture())
        if not self._has_points or (row.get("count") or "").strip():
            count = _number(row["count"])
            if count < 0:
                raise ValueError("a negative count")
            if one.count not in (None, count):
                raise ValueError(f"count {count:g} of {path}, which line {one.line} says otherwise")
            one.count, one.line = count, one.line or line
        if not self._has_points or not ((row["x"] or "").strip() or (row["y"] or "").strip()):
            return
        one.dots.append((_number(row["x"]), _number(row["y"])))
        one.labels.append((row.get("label") or "object").strip())


def _number(text: str | None) -> float:
    value = float(text) if text is not None and text.strip() else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value
