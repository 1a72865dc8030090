"""The measurements of a run that was stopped, or whose command was repeated, are all there."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tiny_runs import stopped_at, write_run

from fastcount.training.fit import fit
from fastcount.training.metrics_file import MetricsFile


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_stopped_run_has_the_measurements_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {"steps": 30, "validate_every": 6}
    config = write_run(tmp_path, output=str(tmp_path / "whole"), **steps)
    fit(config)
    whole = rows(tmp_path / "whole" / "tiny" / "csv" / "metrics.csv")
    assert [row["step"] for row in whole if row["val_mae"]] == ["5", "11", "17", "23", "29"]
    assert any(row["step"] == "24" and row["train/loss"] for row in whole)

    config = write_run(tmp_path, output=str(tmp_path / "stopped"), **steps)
    file = tmp_path / "stopped" / "tiny" / "csv" / "metrics.csv"
    with stopped_at(28, monkeypatch):
        fit(config)
    assert rows(file)[-1]["step"] == "24", "after the last checkpoint"
    fit(config)
    assert rows(file) == whole
    fit(config)  # nothing is left to do
    assert rows(file) == whole


def test_half_a_row_and_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "csv" / "metrics.csv"
    path.parent.mkdir()
    path.write_text("a,step\r\n1.5,0\r\n2.5,3\r\n3.5,x\r\n4.5,1")  # the last of a killed run
    log = MetricsFile(path, done=3)
    log.log_metrics({"a": 5.5}, 3)
    log.log_metrics({"b": 6.5}, 4)
    log.log_metrics({"a": 7.5}, 4)
    log.finalize("success")
    assert rows(path) == [
        {"a": "1.5", "b": "", "step": "0"},
        {"a": "5.5", "b": "", "step": "3"},
        {"a": "", "b": "6.5", "step": "4"},
        {"a": "7.5", "b": "", "step": "4"},
    ]


def test_a_run_that_begins_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("old,step\r\n1.5,0\r\n")
    MetricsFile(path, done=0).log_metrics({"a": 1.0}, 0)
    assert rows(path) == [{"a": "1.0", "step": "0"}]
