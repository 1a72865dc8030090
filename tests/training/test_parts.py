"""Which pictures a run trains on: what is held out, and what is left."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

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


@pytest.mark.parametrize("validated_first", [True, False])
def test_a_copy_of_a_validation_picture_is_not_trained_on(validated_first: bool) -> None:
    """Whatever part it is in: two parts hold the same twelve pictures, one is not validated."""
    parts = [Part(CELLS + "12"), Part(CELLS + "13", validate=False)]
    mixture = replace(config(), train=tuple(parts if validated_first else parts[::-1]))
    pictures = PicturesModule(mixture, Tiling())
    (watched,) = pictures.validation.values()
    names = {watched.dataset.ids[i] for i in watched.indices}  # type: ignore[attr-defined]
    assert names
    for part in pictures.parts:
        assert not names & {part.dataset.ids[i] for i in part.indices}
    assert {line.rpartition(" ")[2] for line in pictures.copies} == names
    assert sum(len(part.indices) for part in pictures.parts) == 12 + 13 - 2 * len(names)


def test_a_part_of_validation_pictures_alone() -> None:
    few = replace(config(), validation=0.9)
    watched = PicturesModule(few, Tiling()).validation
    assert sum(map(len, watched.values())) > 2
    mixture = replace(few, train=(*few.train, Part(CELLS + "2", validate=False)))
    with pytest.raises(ValueError, match=r"train: every picture of .*=2 is a validation picture"):
        PicturesModule(mixture, Tiling())


@pytest.mark.parametrize("world", [1, 2, 5])
def test_processes_validate_each_picture_once(world: int) -> None:
    pictures = PicturesModule(replace(config(), validation=0.25), Tiling())
    seen: list[str] = []
    for rank in range(world):
        pictures.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
        (loader,) = pictures.val_dataloader()
        seen += [sample["id"] for sample in loader]
    (watched,) = pictures.validation.values()
    assert len(watched) == 3
    assert sorted(seen) == sorted(watched[i]["id"] for i in range(len(watched)))
