from __future__ import annotations

from pathlib import Path

import pytest

from fastcount.models.neighbour_sigma import NeighbourSigma
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


def test_a_learning_rate_as_people_write_it(write) -> None:
    assert load_config(write(MINIMAL + "lr: 1e-4\n"), ["backbone_lr=2E-5"]).lr == 1e-4


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
        ("1: 2\nstepps: 3", "unknown key 1"),
        (f"lr: 1{'0' * 400}", "lr: 1000.* is too large"),
        ("lr: !!int ''", "run.yaml: not YAML: "),
        ("lr: 2020-13-45", "run.yaml: not YAML: month must be in"),
        ("lr: " + "[" * 3_000, "run.yaml: not YAML: maximum recursion"),
        ("holdout: ['x:$NOT_SET_ANYWHERE']", "NOT_SET_ANYWHERE is not set"),
        ("holdout: nothing", "expected a list"),
        ("threads: two", "threads: expected int, got 'two'"),
        ("threads: 0", "threads must be at least 1"),
        ("steps: true", "steps: expected int, got True"),
        ("batch_size: 0", "batch_size must be at least 1, got 0"),
        ("validation: 1.0", "validation must be below 1"),
        ("validation: 0", "validation must be above 0, got 0.0; to train on all pictures, give"),
        ("seed: -1", "seed must be at least 0, got -1"),
        ("seed: 4294967296", "seed must be below 4294967296"),
        ("crop: [0, 64]", "crop must be at least 1 pixel"),
        ("sigma_knn: {k: 3}", "sigma_knn: the key 'beta' is missing"),
        ("sigma_knn: {k: 3, beta: 0.3, low: 0}", "low and lone > 0"),
        ("name: ../../elsewhere", "name must be a plain file name"),
        ("name: ..", "name must be a plain file name"),
        ("lr: fast", "lr: expected float, got 'fast'"),
        ("optimizer: lion", "optimizer: expected one of adamw, adam, sgd, got 'lion'"),
        ("momentum: 1.0", "momentum must be below 1"),
        ("sigma_knn: {k: 3, beta: 0.3, low: 4, high: 2}", "low <= high"),
        ("model: {sigma: 3}", "model: names no model"),
        ("train: []", "names no data set"),
        ("train: [{dataset: 'synthetic:', scale: [2, 1]}]", "0 < low <= high"),
        ("train: [{dataset: 'synthetic:', weight: 0}]", "weight must be above 0"),
    ],
)
def test_mistakes_are_named(write, change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        load_config(write(MINIMAL + change + "\n"))


def test_an_override_that_is_no_yaml(write) -> None:
    with pytest.raises(ValueError, match="override 'ema=2020-13-45': the value is not YAML"):
        load_config(write(MINIMAL), ["ema=2020-13-45"])
    with pytest.raises(ValueError, match=r"override 'ema=\[': the value is not YAML"):
        load_config(write(MINIMAL), ["ema=["])


def test_none_is_a_value_where_a_key_may_be_absent(write) -> None:
    config = load_config(
        write(MINIMAL), ["threads=null", "sigma_knn={k: 3, beta: 1, low: 2, high: 9}"]
    )
    assert config.threads is None
    assert config.sigma_knn == NeighbourSigma(k=3, beta=1.0, low=2.0, high=9.0)


def test_missing_key_and_broken_yaml(write) -> None:
    with pytest.raises(ValueError, match="'model' is missing"):
        load_config(write("name: x\ntrain: []\n"))
    with pytest.raises(ValueError, match="not YAML"):
        load_config(write("a: [1,\n"))
    with pytest.raises(ValueError, match="key=value"):
        load_config(write(MINIMAL), ["steps"])


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("# Zählung\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"run\.yaml: not UTF-8, byte 3 is 0xe4; save it as UTF-8"):
        load_config(path)


def test_without_validation_its_share_may_be_zero(write) -> None:
    train = "train=[{dataset: 'synthetic:', validate: false}]"
    assert load_config(write(MINIMAL), ["validation=0", train]).validation == 0


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
