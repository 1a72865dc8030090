"""What makes an exported model pass or fail, and what is told of it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from fastcount.counting import Counting
from fastcount.export.parity import TOLERANCES, Parity, Row, Tolerance, _row

SIZE = (100, 100)
POINTS = np.random.default_rng(0).uniform(0, 90, (200, 2)).astype(np.float32)


def located(points: np.ndarray) -> Counting:
    return Counting(float(len(points)), SIZE, points=points, scores=np.ones(len(points)))


def test_places_and_strays() -> None:
    known = located(POINTS)
    shifted = _row("p", known, located(POINTS + np.float32(0.25)))
    assert shifted.places is not None
    assert shifted.places.highest == pytest.approx(0.25, abs=1e-4)
    assert shifted.strays == 0
    assert shifted.within(TOLERANCES["fp32"])
    moved = POINTS.copy()
    moved[0] = (99, 99)
    elsewhere = _row("p", known, located(moved))
    assert elsewhere.error == 0
    assert elsewhere.strays in (1, 2)  # others may lie close to where it was
    assert not elsewhere.within(TOLERANCES["fp32"])
    assert elsewhere.within(TOLERANCES["int8"])
    assert not _row("p", known, located(POINTS[:-1])).within(TOLERANCES["fp32"])
    assert _row("p", known, located(POINTS[:-1])).within(TOLERANCES["fp16"])
    nothing = _row("p", located(POINTS[:0]), located(POINTS[:0]))
    assert nothing.within(TOLERANCES["fp32"])
    assert _row("p", located(POINTS[:0]), located(POINTS[:3])).strays == 3


def test_every_tensor_counts() -> None:
    known = Counting(
        30.0,
        SIZE,
        std=2.0,
        density=np.full((10, 10), 0.3, np.float32),
        stride=10,
        per_class={"a": 10.0, "b": 20.0},
    )
    assert _row("p", known, known).within(TOLERANCES["fp32"])
    assert known.density is not None
    for other in (
        replace(known, std=2.1),
        replace(known, density=known.density * np.float32(1.01)),
        replace(known, per_class={"a": 20.0, "b": 10.0}),
        replace(known, count=30.1),
    ):
        row = _row("p", known, other)
        assert not row.within(TOLERANCES["fp32"])
        assert row.within(Tolerance(0.02, 1.0))


def test_table() -> None:
    density = Counting(2.0, SIZE, density=np.full((10, 10), 0.02, np.float32), stride=10)
    rows = (_row("map.png", density, density), _row("dots.png", located(POINTS), located(POINTS)))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(Parity(rows, TOLERANCES["fp32"]).table())
    text = console.export_text()
    for part in ("density: max", "places: max px", "strays", "map.png", "200.000", "ok"):
        assert part in text
    assert "TOO FAR" not in text


def test_what_another_size_does_to_the_count_is_told() -> None:
    rows = [Row("a", 103.0, 103.0, {}, own=100.0), Row("b", 4.0, 4.0, {}, own=5.0)]
    assert Parity(tuple(rows), TOLERANCES["fp32"]).moved == pytest.approx(107 / 105 - 1)
    assert Parity((Row("a", 1.0, 1.0, {}),), TOLERANCES["fp32"]).moved is None
