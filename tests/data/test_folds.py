"""Folds of any data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcount.data import open_dataset

SPEC = "synthetic:?kind=cells&count=3&pictures=40&size=32"


def test_folds_are_a_partition_of_about_equal_parts() -> None:
    whole = open_dataset(SPEC)
    folds = [open_dataset(f"{SPEC}&fold={number}/4") for number in range(1, 5)]
    assert sorted(name for fold in folds for name in fold.ids) == sorted(whole.ids)
    assert all(4 <= len(fold) <= 18 for fold in folds)
    rest = open_dataset(f"{SPEC}&not_fold=2/4")
    assert set(rest.ids) == set(whole.ids) - set(folds[1].ids)
    assert (rest.name, rest.rendered, rest.classes) == (whole.name, True, whole.classes)
    for index in (0, len(rest) - 1):
        place = whole.ids.index(rest.ids[index])
        assert np.array_equal(rest.picture(index), whole.picture(place))
        assert rest.annotation(index).count == whole.annotation(place).count
        assert rest[index]["id"] == whole.ids[place]
    nested = open_dataset(f"{SPEC}&not_fold=2/4&fold=1/2")
    assert set(nested.ids) < set(rest.ids)


def test_copies_share_a_fold_and_a_broken_picture_has_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        image = Image.fromarray(rng.integers(0, 255, (8, 9, 3), np.uint8))
        image.save(tmp_path / f"{number}.png")
        image.save(tmp_path / f"copy{number}.bmp")
    (tmp_path / "broken.png").write_bytes(b"spoilt")
    names = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "dots.csv").write_text("path,x,y\n" + "".join(f"{name},1,1\n" for name in names))
    folds = [set(open_dataset(f"csv:{tmp_path}/dots.csv?fold={n}/3").ids) for n in (1, 2, 3)]
    assert sorted(name for fold in folds for name in fold) == names
    for fold in folds:
        for number in range(12):
            assert (f"{number}.png" in fold) == (f"copy{number}.bmp" in fold)


@pytest.mark.parametrize("text", ["2", "a/4", "1/1", "0/4", "5/4", "1/4/2", "-1/4", ""])
def test_wrong_folds(text: str) -> None:
    with pytest.raises(ValueError, match="fold: need NUMBER/FOLDS like 1/4, got"):
        open_dataset(f"{SPEC}&fold={text}")


def test_a_fold_without_pictures() -> None:
    with pytest.raises(ValueError, match="1/1000000 leaves no picture of the 40; use fewer folds"):
        open_dataset(f"{SPEC}&fold=1/1000000")
