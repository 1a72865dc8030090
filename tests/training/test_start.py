"""Runs that go on from others: what they are told of the split."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import write_run

from fastcount.training.fit import fit


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({}, False),
        ({"validation": 0.2}, False),  # the same pictures, fewer of them
        ({"validation": 0.4}, True),
        ({"validation_seed": 1}, True),
    ],
)
def test_another_split_than_that_of_the_start_is_told(
    tmp_path: Path, second: dict[str, float], told: bool
) -> None:
    fit(write_run(tmp_path))
    lines: list[str] = []
    fit(write_run(tmp_path, name="second", start="tiny", **second), say=lines.append)
    split = [line for line in lines if line.startswith("validation: ")]
    assert len(split) == told
    assert all("tiny kept 0.3 by 0" in line for line in split)
