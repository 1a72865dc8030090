"""A run goes on with the data that it began with, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_runs import stopped_at, write_run

from fastcount.models.checkpoint import load_model
from fastcount.training.checkpoints import checkpoints_in
from fastcount.training.fit import fit

REFUSED = "holds a run with other data: csv:"


def add_pictures(folder: Path, numbers: range) -> None:
    rng = np.random.default_rng(numbers.start)
    table = folder / "dots.csv"
    lines = [] if table.exists() else ["path,x,y"]
    for number in numbers:
        pixels = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines += [f"{number}.png,{x},{y}" for x, y in rng.integers(0, 63, (3, 2))]
    with table.open("a") as file:
        file.write("\n".join(lines) + "\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    add_pictures(tmp_path, range(10))
    table = [{"dataset": f"csv:{tmp_path}/dots.csv"}]
    return write_run(tmp_path, train=table, crop=[64, 64], output=str(tmp_path / "runs"))


def test_other_data_are_refused_and_the_card_stays_true(config: Path) -> None:
    folder = config.parent
    model = fit(config)
    fit(config)  # the same data
    written, table = model.read_bytes(), (folder / "dots.csv").read_text()

    add_pictures(folder, range(10, 20))
    with pytest.raises(ValueError, match=REFUSED) as refused:
        fit(config)
    assert "had 7 pictures to train on and 3 for validation, now 13 and 7" in str(refused.value)
    assert "choose another name, bring the old data back, or remove" in str(refused.value)

    lines = table.splitlines()
    (folder / "dots.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with pytest.raises(ValueError, match="holds other pictures, or the same in another order"):
        fit(config)

    (folder / "dots.csv").write_text("\n".join([*lines[:-1], "9.png,1.5,2.5"]) + "\n")
    with pytest.raises(ValueError, match="has other annotations of the same pictures"):
        fit(config)
    assert model.read_bytes() == written
    assert load_model(model).card["pictures"] == {"dots.csv": 7}

    (folder / "dots.csv").write_text(table)
    fit(config)
    fit(config, ["name=another"])


def test_a_run_begun_before_data_were_noted_goes_on(config: Path) -> None:
    note = fit(config).parent / "run.json"
    known = json.loads(note.read_text())
    del known["data"]
    note.write_text(json.dumps(known))
    told: list[str] = []
    fit(config, say=told.append)
    assert any("going on from" in line for line in told)
    add_pictures(config.parent, range(10, 20))
    with pytest.raises(ValueError, match=REFUSED):
        fit(config)
    note.write_text(json.dumps({**known, "data": [{"dataset": "csv"}]}))
    with pytest.raises(ValueError, match=r"run\.json: is damaged"):
        fit(config)


def test_a_run_that_has_not_begun_may_have_other_data(config: Path) -> None:
    with pytest.raises(ValueError, match="accelerator"):
        fit(config, ["accelerator=nothing"])
    add_pictures(config.parent, range(10, 12))
    fit(config)


def test_other_settings_are_named(config: Path) -> None:
    fit(config)
    with pytest.raises(ValueError, match=r"other settings: lr was 0\.0005, now 0\.1; choose"):
        fit(config, ["lr=0.1"])


def test_a_run_goes_on_to_the_same_bits_with_other_workers(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["steps=2"]
    whole = fit(config, [*steps, "name=whole"])
    with stopped_at(1, monkeypatch):
        fit(config, steps)
    assert checkpoints_in(config.parent / "runs" / "tiny")
    resumed, straight = load_file(fit(config, [*steps, "workers=1"])), load_file(whole)
    assert all(torch.equal(values, straight[name]) for name, values in resumed.items())


def test_held_out_pictures_are_no_part_of_the_data(config: Path) -> None:
    """Their annotations are not even read."""
    folder = config.parent
    (folder / "held.csv").write_text("path,count\n9.png,1\n")
    override = [f"holdout=['csv:{folder / 'held.csv'}']"]
    note = fit(config, override).with_name("run.json")
    (known,) = json.loads(note.read_text())["data"]
    assert known["train"] + known["validation"] == 9
    table = (folder / "dots.csv").read_text().splitlines()
    (folder / "dots.csv").write_text("\n".join([*table, "9.png,5,5"]) + "\n")
    fit(config, override)
    assert json.loads(note.read_text())["data"] == [known]
