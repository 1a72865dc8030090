"""What a run measured, in one CSV file that a run which goes on goes on with."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from fastcount.files import atomic_write


class MetricsFile(Logger):
    """A row of ``path`` for whatever is logged at once; ``step`` counts from 0.

    Rows that an earlier start of the run wrote stay, but for those of steps from ``done`` on:
    these are trained again. Lightning's own logger begins with an empty file every time.
    """

    def __init__(self, path: Path, done: int) -> None:
        super().__init__()
        self.path, self.done = path, done
        self._columns: list[str] | None = None  # None until the first row of this start

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They are in the run's YAML file and in run.json."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {**metrics, "step": step}
        if self._columns is None or not row.keys() <= set(self._columns):
            self._make_room(row)
        assert self._columns is not None
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _make_room(self, names: Iterable[str]) -> None:
        """Writes the file anew with columns for ``names``, too."""
        columns, rows = _read(self.path)
        if self._columns is None:
            rows = [row for row in rows if _step(row) < self.done]
        if not rows:
            columns = []
        self._columns = sorted({*columns, *names})
        with atomic_write(self.path, "w") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the whole rows; a kill may have left a part of one at the end."""
    if not path.exists():
        return [], []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(whole, newline=""))
    return list(reader.fieldnames or []), list(reader)


def _step(row: dict[str, str]) -> float:
    """Infinite where the row says none that can be read."""
    try:
        return int(row["step"])
    except (KeyError, TypeError, ValueError):
        return float("inf")
