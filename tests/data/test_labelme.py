"""LabelMe: which shapes are counted, and what is wrong with those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trees

from fastcount.data import DatasetError, open_dataset


def draw(root: Path, name: str, *shapes: dict[str, object]) -> None:
    trees.picture(root / f"{name}.png", (40, 60))
    content = {"imagePath": f"{name}.png", "shapes": shapes}
    (root / f"{name}.json").write_text(json.dumps(content))


def point(label: str, x: float = 3) -> dict[str, object]:
    return {"label": label, "shape_type": "point", "points": [[x, 4]]}


@pytest.mark.parametrize("classes", ["typo", "leaf,typo"])
def test_a_class_that_occurs_nowhere(tmp_path: Path, classes: str) -> None:
    draw(tmp_path, "a", point("leaf"), point("tip"))
    with pytest.raises(DatasetError, match=rf"class 'typo', and .*tip .*mend classes={classes}"):
        open_dataset(f"labelme:{tmp_path}?classes={classes}")


def test_a_class_that_is_rare_may_be_named(tmp_path: Path) -> None:
    draw(tmp_path, "a", point("leaf"))
    dataset = open_dataset(f"labelme:{tmp_path}?classes=flower,leaf")
    assert dataset.classes == ("flower", "leaf")
    assert dataset[0]["labels"].tolist() == [1]
    draw(tmp_path, "a")
    assert open_dataset(f"labelme:{tmp_path}?classes=flower")[0]["count"] == 0


def test_a_class_is_named_once(tmp_path: Path) -> None:
    draw(tmp_path, "a", point("leaf"))
    with pytest.raises(ValueError, match="classes 'leaf,leaf' names one class twice"):
        open_dataset(f"labelme:{tmp_path}?classes=leaf,leaf")


def test_a_folder_without_drawings(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"no \.json in .*; expected PATH/a\.json"):
        open_dataset(f"labelme:{tmp_path}")


def test_a_drawing_without_its_picture(tmp_path: Path) -> None:
    draw(tmp_path, "a", point("leaf"))
    (tmp_path / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"no picture .*a\.png"):
        open_dataset(f"labelme:{tmp_path}")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], r"points of shape \(0,\), expected finite \(N, 2\)"),
        ([[1, 2, 3]], r"points of shape \(1, 3\)"),
        ([[1, float("nan")]], r"points of shape \(1, 2\), expected finite"),
        ([[1, 1e39]], "beyond float32"),
        ([["a", 1]], "could not convert"),
    ],
)
def test_a_broken_shape_is_an_error_of_its_picture(
    tmp_path: Path, points: list[object], message: str
) -> None:
    draw(tmp_path, "a", {"label": "leaf", "shape_type": "point", "points": points})
    draw(tmp_path, "b", point("leaf"))
    dataset = open_dataset(f"labelme:{tmp_path}")
    with pytest.raises(DatasetError, match=rf"a\.json.*{message}"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1
