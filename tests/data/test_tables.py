"""Tables and lists of pictures: each picture is one, however its path is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trees

from fastcount.data import DatasetError, open_dataset


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a table of ``a.png`` and ``b.png`` is to be written."""
    for name in ("a", "b"):
        trees.picture(tmp_path / f"{name}.png")
    return tmp_path / "truth.csv"


def test_two_spellings_of_one_path_in_csv(table: Path) -> None:
    table.write_text("path,x,y\na.png,1,2\n./a.png,3,4\nsub/../a.png,5,6\n")
    dataset = open_dataset(f"csv:{table}")
    assert dataset.ids == ("a.png",)
    assert dataset.annotation(0).count == 3
    table.write_text("path,count\na.png,1\n./a.png,1\n")
    with pytest.raises(DatasetError, match=r"line 3: a\.png is counted twice"):
        open_dataset(f"csv:{table}")


def test_two_spellings_of_one_path_in_json(table: Path) -> None:
    table.write_text(json.dumps([{"path": "./a.png", "count": 1}, {"path": "b.png", "count": 2}]))
    assert open_dataset(f"json:{table}").ids == ("a.png", "b.png")
    table.write_text(json.dumps([{"path": "a.png", "count": 1}, {"path": "./a.png", "count": 2}]))
    with pytest.raises(DatasetError, match=r"entry 1.*'\./a\.png' .*occurs twice"):
        open_dataset(f"json:{table}")


def test_two_spellings_of_one_path_in_coco(table: Path) -> None:
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "./a.png"}]
    table.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    with pytest.raises(DatasetError, match="lists no picture, or one twice"):
        open_dataset(f"coco:{table}")


def test_counts_beside_dots_that_agree(table: Path) -> None:
    table.write_text("path,x,y,count\na.png,1,2,2\nb.png,,,0\na.png,3,4,\n")
    dataset = open_dataset(f"csv:{table}")
    assert [dataset.annotation(index).count for index in range(2)] == [2, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b.png,1,2,\na.png,1,2,5", r"line 3: count 5 of a\.png beside 1 dots"),
        ("a.png,,,5", r"line 2: count 5 of a\.png beside 0 dots"),
        ("a.png,1,2,2\na.png,1,2,3", r"line 3: count 3 of a\.png, which line 2 says otherwise"),
        ("a.png,1,2,many", "line 2: could not convert"),
        ("a.png,1,2,-1", "line 2: a negative count"),
    ],
)
def test_counts_beside_dots_that_contradict(table: Path, rows: str, message: str) -> None:
    table.write_text(f"path,x,y,count\n{rows}\n")
    with pytest.raises(DatasetError, match=message):
        open_dataset(f"csv:{table}")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ('"path,x,y\n', "line 1: field larger .*close the quotation mark"),
        ('path,x,y\n"a.png,1,2\n', "line 2: field larger .*close the quotation mark"),
    ],
)
def test_a_quotation_mark_that_is_never_closed(table: Path, start: str, message: str) -> None:
    table.write_text(start + "a.png,1,2\n" * 20_000)
    with pytest.raises(DatasetError, match=rf"truth\.csv, {message}"):
        open_dataset(f"csv:{table}")
    table.write_text(start + "a.png,1,2\n" * 1_000)
    with pytest.raises(DatasetError, match=r"truth\.csv, line ") as caught:
        open_dataset(f"csv:{table}")
    assert len(str(caught.value)) < 1_000  # not the whole table


def test_dots_beyond_float32_name_their_picture(table: Path) -> None:
    table.write_text("path,x,y\na.png,1e39,2\nb.png,1,2\n")
    dataset = open_dataset(f"csv:{table}")
    with pytest.raises(DatasetError, match=r"a\.png in .*truth\.csv: .*beyond float32"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


def test_points_without_coordinates_are_not_nothing(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.png")
    (tmp_path / "dots.json").write_text('[{"path": "a.png", "points": [[], []]}]')
    with pytest.raises(DatasetError, match=r"dots\.json, entry 0: .*points of shape \(2, 0\)"):
        open_dataset(f"json:{tmp_path / 'dots.json'}")
