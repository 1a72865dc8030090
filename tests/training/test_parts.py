"""Which pictures a run trains on: what is held out, and what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastcount.runtime.tiling import Tiling
from fastcount.training.config import Config, Part
from fastcount.training.pictures import PicturesModule

CELLS = "synthetic:?kind=cells&count=3&size=32&pictures="


def config(*holdout: str, validate: bool = True) -> Config:
    return Config(
        name="tiny",
        model={"name": "mcnn"},
        train=(Part(CELLS + "12", validate=validate),),
        holdout=holdout,
        validation=0.3,
    )


def test_held_out_pictures_are_dropped_and_told() -> None:
    pictures = PicturesModule(config(CELLS + "2"), Tiling())
    assert len(pictures.dropped) == 2
    (part,) = pictures.parts
    assert len(part.indices) + sum(map(len, pictures.validation.values())) == 10


@pytest.mark.parametrize("validate", [True, False])
def test_a_held_out_set_that_leaves_nothing_to_train_on(validate: bool) -> None:
    with pytest.raises(ValueError, match=r"holdout: holds every picture of synthetic:.*=12 that"):
        PicturesModule(config(CELLS + "12", validate=validate), Tiling())


def test_a_split_that_leaves_a_side_empty_names_the_keys() -> None:
    one = replace(config(), train=(Part(CELLS + "1"),))
    message = r"^validation, validation_seed: synthetic:.*=1: fraction 0.3 .* validate: false$"
    with pytest.raises(ValueError, match=message):
        PicturesModule(one, Tiling())
