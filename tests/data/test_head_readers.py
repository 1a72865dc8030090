"""Readers of head detection sets, on made-up trees in the true layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trees

from fastcount.data import DatasetError, mot, open_dataset
from fastcount.data.texts import read_text

GT = """1,1,11,21,8,10,1,1,1.0
1,2,31.5,5,6,6,1,1,0.5
1,3,1,1,5,5,0,1,0.2
3,1,12,21,8,0,1,1,1
3,2,3,4,5,6,1,1,1

"""


def sequence(root: Path, name: str, frames: int, gt: str | None) -> None:
    for number in range(1, frames + 1):
        trees.picture(root / "train" / name / "img1" / f"{number:06d}.jpg", (40, 60))
    if gt is not None:
        (root / "train" / name / "gt").mkdir()
        (root / "train" / name / "gt" / "gt.txt").write_text(gt)


@pytest.mark.parametrize("name", ["crohd", "gta_head"])
def test_mot_frames(tmp_path: Path, name: str) -> None:
    sequence(tmp_path, "HT21-02", 3, GT)
    sequence(tmp_path, "HT21-10", 2, None)
    dataset = open_dataset(f"{name}:{tmp_path}?sequences=HT21-02")
    assert dataset.ids == ("HT21-02/000001", "HT21-02/000002", "HT21-02/000003")
    assert [sample["count"] for sample in dataset] == [2, 0, 1]
    assert dataset[0]["boxes"].tolist() == [[10, 20, 18, 30], [30.5, 4, 36.5, 10]]
    assert dataset[0]["points"].tolist() == [[13.5, 24.5], [33, 6.5]]
    assert dataset.classes == ("head",)
    both = open_dataset(f"{name}:{tmp_path}?every=2")
    assert both.ids == ("HT21-02/000001", "HT21-02/000003", "HT21-10/000001")
    with pytest.raises(DatasetError, match=r"gt\.txt; the test sequences"):
        both[2]


def test_mot_errors(tmp_path: Path) -> None:
    sequence(tmp_path, "a", 1, "1,1,2,3,4\n")
    with pytest.raises(DatasetError, match="no folder"):
        open_dataset(f"crohd:{tmp_path}?split=test")
    with pytest.raises(DatasetError, match=r"no sequence b .*there are a"):
        open_dataset(f"crohd:{tmp_path}?sequences=b")
    with pytest.raises(ValueError, match="every"):
        open_dataset(f"crohd:{tmp_path}?every=0")
    with pytest.raises(DatasetError, match=r"gt\.txt, line 1"):
        open_dataset(f"crohd:{tmp_path}")[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,1,nan,3,4,5,1", "a number is not finite"),
        ("1,1,2,3,inf,5,1", "a number is not finite"),
        ("one,1,2,3,4,5,1", "could not convert"),
        ("1,1,2,3,4", "not enough values"),
    ],
)
def test_mot_broken_line(tmp_path: Path, line: str, message: str) -> None:
    sequence(tmp_path, "a", 1, f"1,1,2,3,4,5,1\n{line}\n")
    with pytest.raises(DatasetError, match=rf"gt\.txt, line 2: {message}.*; expected frame,id,"):
        open_dataset(f"crohd:{tmp_path}").annotation(0)


def test_mot_frames_are_named_by_their_numbers(tmp_path: Path) -> None:
    sequence(tmp_path, "a", 1, GT)
    trees.picture(tmp_path / "train/a/img1/cover.jpg", (40, 60))
    dataset = open_dataset(f"crohd:{tmp_path}")
    with pytest.raises(DatasetError, match=r"cover\.jpg is not named by its frame's number"):
        dataset.annotation(dataset.ids.index("a/cover"))
    assert dataset.annotation(dataset.ids.index("a/000001")).count == 2


def test_mot_opened_anew_sees_what_its_file_holds_now(tmp_path: Path) -> None:
    sequence(tmp_path, "a", 1, "1,1,2,3,4,5,1\n")
    file = tmp_path / "train/a/gt/gt.txt"
    before = open_dataset(f"crohd:{tmp_path}")
    assert before.annotation(0).count == 1
    file.write_text(GT)
    assert open_dataset(f"crohd:{tmp_path}").annotation(0).count == 2
    assert before.annotation(0).count == 1


def test_mot_reads_a_sequence_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence(tmp_path, "a", 3, GT)
    read: list[Path] = []

    def noted(file: Path, **options: str) -> str:
        read.append(file)
        return read_text(file, **options)

    monkeypatch.setattr(mot, "read_text", noted)
    dataset = open_dataset(f"crohd:{tmp_path}")
    assert [dataset.annotation(i).count for i in range(3)] == [2, 0, 1]
    assert read == [tmp_path / "train/a/gt/gt.txt"]


def test_mot_without_sequences(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DatasetError, match=r"there are none; expected PATH/SPLIT/SEQUENCE"):
        open_dataset(f"crohd:{tmp_path}")


def person(head: list[float], **marks: object) -> dict[str, object]:
    return {
        "tag": "person",
        "hbox": head,
        "vbox": [1, 2, 10, 20],
        "fbox": [-3, 2, 14, 40],
        "head_attr": {"ignore": 0},
        "extra": {"box_id": 0},
        **marks,
    }


def test_crowdhuman(tmp_path: Path) -> None:
    people = [
        person([4, 5, 6, 7]),
        person([9, 9, 3, 3], head_attr={"ignore": 1}),
        person([20, 9, 3, 3], extra={"ignore": 1}),
        person([20, 9, 0, 3]),
        person([0, 0, 30, 30], tag="mask"),
    ]
    lines = [{"ID": "a,1", "gtboxes": people}, {"ID": "b", "gtboxes": []}]
    file = tmp_path / "annotation_train.odgt"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    for name in ("a,1", "b"):
        trees.picture(tmp_path / "Images" / f"{name}.jpg", (40, 60))
    heads = open_dataset(f"crowdhuman:{tmp_path}")
    assert heads.ids == ("a,1", "b")
    assert heads[0]["boxes"].tolist() == [[4, 5, 10, 12]]
    assert heads[1]["count"] == 0
    full = open_dataset(f"crowdhuman:{tmp_path}?box=full")
    assert full[0]["boxes"].tolist() == [[-3, 2, 11, 42]] * 3  # their heads are ignored, not they
    with pytest.raises(DatasetError, match=r"annotation_val\.odgt"):
        open_dataset(f"crowdhuman:{tmp_path}?split=val")
    file.write_text('{"ID": "b", "gtboxes": [{"tag": "person"}]}\n')
    with pytest.raises(DatasetError, match="line 1: KeyError 'hbox'"):
        open_dataset(f"crowdhuman:{tmp_path}")


def test_boxes_beyond_float32_name_their_picture(tmp_path: Path) -> None:
    sequence(tmp_path, "a", 2, "1,1,1e39,3,4,5,1\n2,1,2,3,4,5,1\n")
    frames = open_dataset(f"crohd:{tmp_path}")
    with pytest.raises(DatasetError, match=r"frame 1 in .*gt\.txt: .*beyond float32"):
        frames.annotation(0)
    assert frames.annotation(1).count == 1
    lines = [{"ID": "a", "gtboxes": [person([4, 5, 1e39, 7])]}, {"ID": "b", "gtboxes": []}]
    (tmp_path / "annotation_train.odgt").write_text("\n".join(map(json.dumps, lines)))
    for name in ("a", "b"):
        trees.picture(tmp_path / "Images" / f"{name}.jpg", (40, 60))
    heads = open_dataset(f"crowdhuman:{tmp_path}")
    with pytest.raises(DatasetError, match=r"a in .*annotation_train\.odgt: .*beyond float32"):
        heads.annotation(0)
    assert heads.annotation(1).count == 0
