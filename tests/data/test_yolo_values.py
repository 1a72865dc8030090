"""YOLO: what the numbers of a line may be, and how a folder may be described."""

from __future__ import annotations

from pathlib import Path

import pytest
import trees

from fastcount.data import DatasetError, open_dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures a and b of 80 x 40 pixels; a has no label yet, b has one."""
    for name in ("a", "b"):
        trees.picture(tmp_path / f"images/train/{name}.png", (40, 80))
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/b.txt").write_text("0 .5 .5 .1 .1\n")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    return tmp_path


@pytest.mark.parametrize("line", ["0 .5 .5 0 0", "0 .5 .5 .1 0", "0 0 0 0 .5 0 1"])
def test_a_box_without_area_is_left_out(root: Path, line: str) -> None:
    (root / "labels/train/a.txt").write_text(f"{line}\n1 .5 .5 .25 .5\n")
    found = open_dataset(f"yolo:{root}").annotation(0)
    assert found.boxes is not None
    assert found.labels is not None
    assert found.boxes.tolist() == [[30, 10, 50, 30]]
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 .5 .5 -.1 .1", r"a box of the sides -0\.1 and 0\.1; mend the line"),
        ("0 .5 .5 .1 -.1", r"a box of the sides 0\.1 and -0\.1"),
        ("0 50 50 10 10", "50 is no part of a side; divide pixels by width and height"),
        ("0 .5 -20 .1 .1", "-20 is no part of a side"),
        ("0 0 0 0 40 80 40", "40 is no part of a side"),
    ],
)
def test_numbers_that_are_no_parts_of_a_side(root: Path, line: str, message: str) -> None:
    (root / "labels/train/a.txt").write_text(f"0 .5 .5 .1 .1\n{line}\n")
    dataset = open_dataset(f"yolo:{root}")
    with pytest.raises(DatasetError, match=rf"a\.txt, line 2: {message}"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


def test_a_box_may_reach_beyond_its_picture(root: Path) -> None:
    (root / "labels/train/a.txt").write_text("0 1.01 .5 .25 1.5\n")
    found = open_dataset(f"yolo:{root}").annotation(0)
    assert found.boxes is not None
    assert found.boxes[0].tolist() == pytest.approx([70.8, -10, 90.8, 50])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: cat", r"names is 'cat', no list.*names: \[\.\.\.\]"),
        ("names: 2024-99-99", "month must be in"),
        ("names: {1: cat}", "KeyError"),
        ("train: images/train", "KeyError.*names"),
        ("[cat, dog]", "TypeError"),
        ("names: [cat", "ParserError"),
        ("names: !!int ''", "IndexError"),
    ],
)
def test_a_description_that_is_none(root: Path, text: str, message: str) -> None:
    (root / "data.yaml").write_text(text)
    with pytest.raises(DatasetError, match=rf"cannot read .*data\.yaml .*{message}"):
        open_dataset(f"yolo:{root}")


def test_there_is_one_description(root: Path) -> None:
    (root / "other.yml").write_text("names: [cat]\n")
    with pytest.raises(DatasetError, match=r"2 \.yaml files in .*, expected one; PATH"):
        open_dataset(f"yolo:{root}")


def test_pictures_and_labels_lie_side_by_side(root: Path) -> None:
    (root / "pictures").mkdir()
    trees.picture(root / "pictures/a.png")
    (root / "data.yaml").write_text("train: pictures\nval: images/val\nnames: [cat]\n")
    with pytest.raises(DatasetError, match=r"train is 'pictures' in .*data\.yaml; PATH"):
        open_dataset(f"yolo:{root}")
    trees.picture(root / "images/val/a.png")
    with pytest.raises(DatasetError, match=r"no folder .*labels/val; expected PATH"):
        open_dataset(f"yolo:{root}?split=val")


@pytest.mark.parametrize("kind", ["folder", "lost link"])
def test_a_label_that_cannot_be_read_is_not_an_empty_picture(root: Path, kind: str) -> None:
    label = root / "labels/train/a.txt"
    if kind == "folder":
        label.mkdir()
    else:
        label.symlink_to("nowhere.txt")
    dataset = open_dataset(f"yolo:{root}")
    with pytest.raises(DatasetError, match=r"cannot read .*a\.txt"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


def test_lists_of_one_list_do_not_fill_the_memory(root: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    for names in ("names: *l11\n", "names: [cat]\ntrain: *l11\n"):
        (root / "data.yaml").write_text(f"l0: &l0 [cat]\n{levels}{names}")
        with pytest.raises(DatasetError, match=r"data\.yaml \(TypeError: a list where one text"):
            open_dataset(f"yolo:{root}")
