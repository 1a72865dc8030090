"""Whether an exported model counts as PyTorch does, on real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Tolerance:
    """``count``: share of the count, or of ten objects where there are fewer. ``density``: share
    of the picture's densest cell; None where a single cell may be off as far as it likes."""

    count: float
    density: float | None


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(1e-4, 1e-3),
    "fp16": Tolerance(5e-3, 5e-2),
    "int8": Tolerance(2e-2, None),
}


class Exported(Engine, Protocol):
    """An engine that knows what it was exported for."""

    @property
    def shape(self) -> InputShape: ...


@dataclass(frozen=True)
class Row:
    """One picture. ``highest``, ``mean``: absolute error of its cells; None without density."""

    picture: str
    count: float
    exported: float
    highest: float | None
    mean: float | None
    densest: float

    @property
    def error(self) -> float:
        """Of the count: a share of it, or of ten objects where there are fewer."""
        return abs(self.exported - self.count) / max(abs(self.count), _LEAST_COUNT)

    def within(self, tolerance: Tolerance) -> bool:
        if not self.error <= tolerance.count:
            return False
        if self.highest is None or tolerance.density is None:
            return True
        return self.highest <= tolerance.density * self.densest


@dataclass(frozen=True)
class Parity:
    """What PyTorch in float32 and the exported model say of the same pictures."""

    rows: tuple[Row, ...]
    tolerance: Tolerance

    @property
    def passed(self) -> bool:
        return all(row.within(self.tolerance) for row in self.rows)

    def table(self) -> Table:
        """A line a picture, for a person."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("picture")
        headings = ("PyTorch", "exported", "error %", "cell error: max", "mean", "")
        for heading in headings:
            table.add_column(heading, justify="right")
        for row in self.rows:
            cells = ["", ""]
            if row.highest is not None and row.mean is not None:
                cells = [f"{row.highest:.2e}", f"{row.mean:.2e}"]
            table.add_row(
                row.picture,
                f"{row.count:.3f}",
                f"{row.exported:.3f}",
                f"{100 * row.error:.4f}",
                *cells,
                "ok" if row.within(self.tolerance) else "TOO FAR",
            )
        return table


class ParityError(ValueError):
    """An exported model that does not count as PyTorch does; ``parity`` says where."""

    def __init__(self, parity: Parity) -> None:
        allowed = f"{100 * parity.tolerance.count:g} % of the count"
        if parity.tolerance.density is not None:
            allowed += f" and {100 * parity.tolerance.density:g} % of the densest cell"
        super().__init__(f"the exported model is further from PyTorch than {allowed}")
        self.parity = parity


class SameTiles:
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
    return Parity(
        tuple(
            _row(name, known(picture, batch_size=batch_size), new(picture, batch_size=batch_size))
            for name, picture in pictures
        ),
        tolerance,
    )


def _row(name: str, known: Counting, new: Counting) -> Row:
    if known.density is None or new.density is None:
        return Row(name, known.count, new.count, None, None, 0.0)
    error = np.abs(known.density.astype(np.float64) - new.density)
    return Row(
        name,
        known.count,
        new.count,
        float(error.max()),
        float(error.mean()),
        float(np.abs(known.density).max()),
    )
