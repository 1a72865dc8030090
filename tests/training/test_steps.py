"""Validation after the last step, wherever that lies between two others."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import CELLS, stopped_at, write_run

from fastcount.models.checkpoint import load_model
from fastcount.training.fit import fit
from fastcount.training.module import CountingModule


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def validated(model: Path) -> list[int]:
    """The numbers of steps after which there was a validation."""
    with (model.parent / "csv" / "metrics.csv").open(newline="") as file:
        return [int(row["step"]) + 1 for row in csv.DictReader(file) if row.get("val_mae")]


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(3, 500, [3]), (6, 4, [4, 6]), (8, 4, [4, 8]), (1, 1, [1])],
)
def test_the_last_step_is_validated_once(
    config: Path, steps: int, every: int, expected: list[int]
) -> None:
    model = fit(config, [f"steps={steps}", f"validate_every={every}"])
    assert validated(model) == expected
    assert load_model(model).card["validation_error"] is not None
    last = torch.load(model.parent / "last.ckpt", weights_only=True)
    assert last["global_step"] == steps


def test_the_last_step_can_be_chosen(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CountingModule.log

    def better_and_better(self: CountingModule, name: str, value: Any, **options: Any) -> None:
        plain(self, name, -float(self.global_step) if name == "val_mae" else value, **options)

    monkeypatch.setattr(CountingModule, "log", better_and_better)
    model = fit(config, ["steps=6", "validate_every=4"])
    best = torch.load(model.parent / "best.ckpt", weights_only=True)
    assert best["global_step"] == 6
    assert load_model(model).card["validation_error"] == -6
    again = fit(config, ["steps=6", "validate_every=4"])
    assert load_model(again).card["validation_error"] == -6


def test_a_run_stopped_after_its_last_validation_but_one_has_the_same_last(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["steps=6", "validate_every=4"]
    whole = fit(config, [*overrides, "name=whole"])
    with stopped_at(5, monkeypatch):
        fit(config, overrides)
    stopped = fit(config, overrides)
    assert validated(stopped) == [4, 6]
    states = [
        torch.load(model.parent / "last.ckpt", weights_only=True)["state_dict"]
        for model in (whole, stopped)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_without_validation_pictures_the_last_weights_are_kept(config: Path) -> None:
    override = f"train=[{{dataset: '{CELLS}', validate: false}}]"
    overrides = ["steps=3", "validate_every=2", override]
    told: list[str] = []
    model = fit(config, overrides, say=told.append)
    assert load_model(model).card["validation_error"] is None
    assert any(line.startswith("no validation pictures: ") for line in told)
    with pytest.raises(ValueError, match="calibrate: needs validation pictures"):
        fit(config, [*overrides, "calibrate=true", "name=calibrated"])
