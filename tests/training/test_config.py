from __future__ import annotations

from pathlib import Path

import pytest

from fastcount.training.config import Config, load_config

MINIMAL = """
name: small
model: {name: mcnn}
train:
  - dataset: "synthetic:?kind=cells"
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return _write


def test_defaults_fill_what_the_file_leaves_out(write) -> None:
    config = load_config(write(MINIMAL))
    assert isinstance(config, Config)
    assert config.train[0].dataset == "synthetic:?kind=cells"
    assert config.crop == (320, 320)
    assert config.augment.flip


def test_overrides_replace_keys(write) -> None:
    config = load_config(write(MINIMAL), ["steps=7", "crop=[64, 96]", "name=other"])
    assert (config.steps, config.crop, config.name) == (7, (64, 96), "other")


def test_environment_variables_are_expanded(write, monkeypatch) -> None:
    monkeypatch.setenv("SOME_DATA", "/data")
    config = load_config(write(MINIMAL + "holdout: ['vgg_cells:$SOME_DATA/vgg']\n"))
    assert config.holdout == ("vgg_cells:/data/vgg",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stepps: 3", "unknown key 'stepps'"),
        ("steps: many", "steps: expected int, got 'many'"),
        ("crop: [1, 2, 3]", "crop: expected 2 values"),
        ("augment: {flipp: true}", "unknown key 'flipp'"),
        ("holdout: ['x:$NOT_SET_ANYWHERE']", "NOT_SET_ANYWHERE is not set"),
        ("holdout: nothing", "expected a list"),
    ],
)
def test_mistakes_are_named(write, change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        load_config(write(MINIMAL + change + "\n"))


def test_missing_key_and_broken_yaml(write) -> None:
    with pytest.raises(ValueError, match="'model' is missing"):
        load_config(write("name: x\ntrain: []\n"))
    with pytest.raises(ValueError, match="not YAML"):
        load_config(write("a: [1,\n"))
    with pytest.raises(ValueError, match="key=value"):
        load_config(write(MINIMAL), ["steps"])


def test_shipped_recipes_are_valid(monkeypatch) -> None:
    monkeypatch.setenv("FASTCOUNT_DATA", "/data")
    monkeypatch.setenv("FASTCOUNT_PEERS", "/weights")
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert {path.stem for path in recipes} >= {"crowd", "cells"}
    for path in recipes:
        config = load_config(path)
        assert config.name == path.stem
        # nothing that is trained on may be a test split
        assert not any("split=test" in part.dataset for part in config.train)
