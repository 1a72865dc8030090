"""Whether an exported model counts as PyTorch does, on real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from fastcount.counting import Counting
from fastcount.runtime.counter import Counter
from fastcount.runtime.description import Precision
from fastcount.runtime.engine import Engine, TileResult
from fastcount.runtime.exported import InputShape
from fastcount.runtime.tiling import Tiling

if TYPE_CHECKING:
    from rich.table import Table

Picture = tuple[str, NDArray[np.uint8]]

# Counts below this are compared as if they were this: a tenth of a percent of nobody is nothing.
_LEAST_COUNT = 10.0
# Share of whole objects that rounding may lift over a threshold, or not.
_AT_THE_THRESHOLD = 1e-3
# Pixels between an object and its counterpart, in the coordinate that differs most.
_CLOSE = 2.0


@dataclass(frozen=True)
class Tolerance:
    """``count``: share of the count, or of ten objects where there are fewer. ``tensors``: share
    of a tensor's greatest value that any value may be off. ``strays``: share of the objects that
    may have no counterpart close by. None where they may be off as far as they like."""

    count: float
    tensors: float | None
    strays: float | None = None


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(1e-4, 1e-3, 1e-3),
    "fp16": Tolerance(5e-3, 5e-2, 2e-2),
    "bf16": Tolerance(2e-2, None),
    "int8": Tolerance(2e-2, None),
}


@dataclass(frozen=True)
class TensorError:
    """Greatest and mean absolute error of a tensor, and the greatest of its right values."""

    highest: float
    mean: float
    largest: float

    def cells(self) -> list[str]:
        """The two errors for a table."""
        return [f"{self.highest:.2e}", f"{self.mean:.2e}"]


class Exported(Engine, Protocol):
    """An engine that knows what it was exported for."""

    @property
    def shape(self) -> InputShape: ...


@dataclass(frozen=True)
class Row:
    """One picture. ``count``: PyTorch's of the tiles that the exported model takes. ``tensors``:
    how far each output is off; ``places`` and ``strays``: how far the objects are, in pixels, and
    how many have no counterpart; None where none are located. ``own``: PyTorch's count of the
    tiles that the model itself takes, where those are others."""

    picture: str
    count: float
    exported: float
    tensors: dict[str, TensorError]
    places: TensorError | None = None
    strays: int | None = None
    own: float | None = None

    @property
    def error(self) -> float:
        """Of the count: a share of it, or of ten objects where there are fewer."""
        return abs(self.exported - self.count) / max(abs(self.count), _LEAST_COUNT)

    def within(self, tolerance: Tolerance) -> bool:
        allowed = tolerance.count
        if self.strays is not None and allowed > 0:
            allowed = max(allowed, _AT_THE_THRESHOLD)
        if not self.error <= allowed:
            return False
        if self.strays is not None and tolerance.strays is not None:
            objects = max(abs(self.count), abs(self.exported), _LEAST_COUNT)
            if self.strays > tolerance.strays * objects:
                return False
        return tolerance.tensors is None or all(
            one.highest <= tolerance.tensors * one.largest for one in self.tensors.values()
        )


@dataclass(frozen=True)
class Parity:
    """What PyTorch in float32 and the exported model say of the same pictures."""

    rows: tuple[Row, ...]
    tolerance: Tolerance

    @property
    def passed(self) -> bool:
        return all(row.within(self.tolerance) for row in self.rows)

    @property
    def moved(self) -> float | None:
        """By how much the exported size alone changes the counts of all pictures together, as a
        share of them; None where tiles are the model's own."""
        own = [row.own for row in self.rows if row.own is not None]
        if not own:
            return None
        return sum(row.exported for row in self.rows) / max(sum(own), 1e-9) - 1

    def table(self) -> Table:
        """A line a picture, for a person."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("picture")
        names = list(dict.fromkeys(name for row in self.rows for name in row.tensors))
        located = any(row.places is not None for row in self.rows)
        headings = ["PyTorch", "exported", "error, % of 10 or more"]
        for name in names:
            headings += [f"{name}: max", "mean"]
        if located:
            headings += ["places: max px", "mean", "strays"]
        for heading in (*headings, ""):
            table.add_column(heading, justify="right")
        for row in self.rows:
            cells = [f"{row.count:.3f}", f"{row.exported:.3f}", f"{100 * row.error:.4f}"]
            for error in [*map(row.tensors.get, names), *([row.places] if located else [])]:
                cells += ["", ""] if error is None else error.cells()
            if located:
                cells.append("" if row.strays is None else str(row.strays))
            cells.append("ok" if row.within(self.tolerance) else "TOO FAR")
            table.add_row(row.picture, *cells)
        return table


class ParityError(ValueError):
    """An exported model that does not count as PyTorch does; ``parity`` says where."""

    def __init__(self, parity: Parity) -> None:
        allowed = f"{100 * parity.tolerance.count:g} % of the count (of ten, where it is less)"
        if parity.tolerance.tensors is not None:
            allowed += f" and {100 * parity.tolerance.tensors:g} % of a tensor's greatest value"
        super().__init__(
            f"the exported model is further from PyTorch than {allowed}, on these pictures; it is "
            "compared on others, like those to be counted, with --pictures"
        )
        self.parity = parity


class SameTiles(Engine):
    """``reference`` fed with exactly the tiles that ``exported`` takes.

    So the two differ by arithmetic alone, not by where a picture is cut.
    """

    def __init__(self, reference: Engine, exported: Exported) -> None:
        self._reference = reference
        self._exported = exported

    @property
    def name(self) -> str:
        return self._reference.name

    @property
    def tiling(self) -> Tiling:
        return self._exported.tiling

    @property
    def classes(self) -> tuple[str, ...]:
        return self._reference.classes

    def run(self, batch: NDArray[np.uint8]) -> list[TileResult]:
        return self._exported.shape.run(batch, self.tiling.fill, self._reference.run)


def compare(
    reference: Engine, exported: Exported, pictures: Sequence[Picture], tolerance: Tolerance
) -> Parity:
    """Counts each of ``pictures``, (H, W, 3) uint8 by name, with both engines.

    Raises ``ValueError`` without pictures: nothing compared is nothing shown.
    """
    if not pictures:
        raise ValueError("pictures: need at least one to compare the exported model on")
    known, new = Counter(SameTiles(reference, exported)), Counter(exported)
    batch_size = exported.shape.batch or 1
    rows = []
    for name, picture in pictures:
        row = _row(name, known(picture, batch_size=batch_size), new(picture, batch_size=batch_size))
        if exported.shape.size is not None and exported.tiling != reference.tiling:
            row = replace(row, own=Counter(reference)(picture).count)
        rows.append(row)
    return Parity(tuple(rows), tolerance)


def _row(name: str, known: Counting, new: Counting) -> Row:
    tensors = {}
    for field in ("density", "std"):
        one, other = getattr(known, field), getattr(new, field)
        if one is not None and other is not None:
            tensors[field] = _error(np.atleast_1d(one), np.atleast_1d(other))
    if known.per_class and new.per_class and known.labels is None:
        counts = [(own, new.per_class[key]) for key, own in known.per_class.items()]
        tensors["per class"] = _error(*np.array(counts).T)
    places, strays = None, None
    one, other = (each.points if each.boxes is None else each.boxes for each in (known, new))
    if one is not None and other is not None:
        nearest = _nearest(one, other)
        close = nearest <= _CLOSE
        strays = int(np.count_nonzero(~close) + np.count_nonzero(_nearest(other, one) > _CLOSE))
        moved = nearest[close] if close.any() else np.zeros(1)
        places = TensorError(float(moved.max()), float(moved.mean()), _CLOSE)
    return Row(name, known.count, new.count, tensors, places, strays)


def _error(known: NDArray[Any], new: NDArray[Any]) -> TensorError:
    error = np.abs(known.astype(np.float64) - new)
    return TensorError(float(error.max()), float(error.mean()), float(np.abs(known).max()))


def _nearest(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) how far each of ``some`` (N, D) is from the nearest of ``others`` in the coordinate
    that differs most."""
    if not len(others):
        return np.full(len(some), np.inf)
    distance: NDArray[np.float64] = KDTree(others).query(some, p=np.inf)[0]
    return distance
