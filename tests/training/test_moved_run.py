"""A run goes on where its folder is, not where it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_runs import write_run

from fastcount.training.fit import fit


def test_a_run_s_folder_may_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("before", "after"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "before")
    told: list[str] = []
    # A rate at which the second validation is worse than the first.
    changes = {"steps": 2, "ema": 0.0, "lr": 1.0, "warmup": 0, "output": "runs"}
    whole = load_file(fit(write_run(Path(), **changes), say=told.append))
    (tmp_path / "before" / "runs").rename(tmp_path / "after" / "runs")
    monkeypatch.chdir(tmp_path / "after")
    moved = load_file(fit(write_run(Path(), **changes), say=told.append))
    assert all(whole[name].equal(moved[name]) for name in whole)
    first, second = [line for line in told if line.startswith("wrote")]
    assert first == second
