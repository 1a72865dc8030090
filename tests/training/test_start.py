"""What is told where a run begins: of another split than that of its start, of its output."""

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


def test_an_output_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^output: .*file/runs/tiny cannot be made"):
        fit(write_run(tmp_path), [f"output={tmp_path / 'file' / 'runs'}"])
