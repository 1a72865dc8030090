"""Text files that are damaged in ways that parsers have errors of their own for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trees

from fastcount.data import DatasetError, open_dataset
from fastcount.data.boxes_from_dots import Presets
from fastcount.data.folder import natural_key

DEEP = "[" * 100_000
HUGE = "1" + "0" * 400  # beyond float64
LATIN = "Bäume".encode("latin-1")


def voc(root: Path) -> Path:
    for name in ("a", "b"):
        trees.picture(root / f"JPEGImages/{name}.jpg")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / f"Annotations/{name}.xml").write_text("<annotation/>")
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("a\nb\n")
    return root


def yolo(root: Path) -> Path:
    for name in ("a", "b"):
        trees.picture(root / f"images/train/{name}.jpg")
        (root / "labels/train").mkdir(parents=True, exist_ok=True)
        (root / f"labels/train/{name}.txt").write_text("0 .5 .5 .1 .1\n")
    (root / "data.yaml").write_text("names: [cat]\n")
    return root


def labelme(root: Path) -> Path:
    for name in ("a", "b"):
        trees.picture(root / f"{name}.png")
        shapes = [{"label": "leaf", "shape_type": "point", "points": [[3, 4]]}]
        (root / f"{name}.json").write_text(
            json.dumps({"imagePath": f"{name}.png", "shapes": shapes})
        )
    return root


@pytest.mark.parametrize("name", ["csv", "json", "coco"])
def test_one_file_in_another_encoding(tmp_path: Path, name: str) -> None:
    file = tmp_path / "truth.txt"
    file.write_bytes(LATIN)
    with pytest.raises(DatasetError, match=r"truth\.txt is no text in UTF-8 .*save it as such"):
        open_dataset(f"{name}:{file}")


@pytest.mark.parametrize(
    ("spec", "file"),
    [
        ("crowdhuman:{}", "annotation_train.odgt"),
        ("cvppp_lcc:{}", "A1/A1.csv"),
        ("maize:{}", "counts/training.csv"),
        ("voc:{}", "ImageSets/Main/train.txt"),
        ("yolo:{}", "data.yaml"),
    ],
)
def test_a_file_of_a_folder_in_another_encoding(tmp_path: Path, spec: str, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(LATIN)
    with pytest.raises(DatasetError, match=rf"{Path(file).name} is no text in UTF-8"):
        open_dataset(spec.format(tmp_path))


def test_the_boxes_of_one_video_in_another_encoding(tmp_path: Path) -> None:
    trees.picture(tmp_path / "train/x/img1/000001.jpg")
    (tmp_path / "train/x/gt").mkdir()
    (tmp_path / "train/x/gt/gt.txt").write_bytes(LATIN)
    with pytest.raises(DatasetError, match=r"gt\.txt is no text in UTF-8"):
        open_dataset(f"crohd:{tmp_path}").annotation(0)


def test_labels_in_another_encoding_are_an_error_of_their_picture(tmp_path: Path) -> None:
    dataset = open_dataset(f"yolo:{yolo(tmp_path)}")
    (tmp_path / "labels/train/a.txt").write_bytes(LATIN)
    with pytest.raises(DatasetError, match=r"a\.txt is no text in UTF-8"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    dataset = open_dataset(f"yolo:{yolo(tmp_path)}")
    (tmp_path / "labels/train/a.txt").write_bytes(b"\xef\xbb\xbf0 .5 .5 .1 .1\n")
    assert dataset.annotation(0).count == 1


@pytest.mark.parametrize("name", ["json", "coco"])
def test_lists_within_lists(tmp_path: Path, name: str) -> None:
    (tmp_path / "truth.json").write_text(DEEP)
    with pytest.raises(DatasetError, match=r"cannot read .*truth\.json .*recursion"):
        open_dataset(f"{name}:{tmp_path / 'truth.json'}")


def test_lists_within_lists_in_other_files(tmp_path: Path) -> None:
    (tmp_path / "annotation_train.odgt").write_text(DEEP)
    with pytest.raises(DatasetError, match=r"annotation_train\.odgt, line 1: RecursionError"):
        open_dataset(f"crowdhuman:{tmp_path}")
    with pytest.raises(DatasetError, match=r"annotation_train\.odgt .*recursion"):
        Presets.read(tmp_path / "annotation_train.odgt")
    yolo(tmp_path / "yolo")
    (tmp_path / "yolo/data.yaml").write_text("[" * 2_000)
    with pytest.raises(DatasetError, match=r"data\.yaml .*RecursionError"):
        open_dataset(f"yolo:{tmp_path / 'yolo'}")


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        LATIN.decode("latin-1"),
        '{"imagePath": "a.png"}',
        f'{{"imagePath": "a.png", "shapes": [{{"label": "leaf", "points": [[{HUGE}, 1]]}}]}}',
    ],
)
def test_a_damaged_drawing_is_an_error_of_its_picture(tmp_path: Path, text: str) -> None:
    labelme(tmp_path)
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    dataset = open_dataset(f"labelme:{tmp_path}")
    assert dataset.ids == ("a", "b")
    assert dataset.annotation(1).count == 1
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"a\.json"):
            dataset.annotation(0)
    with pytest.raises(DatasetError, match=r"a\.json"):
        dataset.path(0)


@pytest.mark.parametrize("entry", [f'"count": {HUGE}', f'"points": [[{HUGE}, 1]]'])
def test_numbers_beyond_floating_point_in_json(tmp_path: Path, entry: str) -> None:
    trees.picture(tmp_path / "a.png")
    (tmp_path / "dots.json").write_text(f'[{{"path": "a.png", {entry}}}]')
    with pytest.raises(DatasetError, match=r"dots\.json, entry 0: OverflowError"):
        open_dataset(f"json:{tmp_path / 'dots.json'}")


def test_numbers_beyond_floating_point_elsewhere(tmp_path: Path) -> None:
    people = f'{{"tag": "person", "hbox": [{HUGE}, 1, 2, 3]}}'
    (tmp_path / "annotation_train.odgt").write_text(f'{{"ID": "a", "gtboxes": [{people}]}}')
    with pytest.raises(DatasetError, match=r"annotation_train\.odgt, line 1: OverflowError"):
        open_dataset(f"crowdhuman:{tmp_path}")
    (tmp_path / "counts").mkdir()
    (tmp_path / "counts/training.csv").write_text(f"fn,label\na.jpg,{HUGE}\n")
    with pytest.raises(DatasetError, match=r"training\.csv, line 2: OverflowError"):
        open_dataset(f"maize:{tmp_path}")
    with pytest.raises(DatasetError, match=r"presets: OverflowError"):
        Presets.parse({"scenes": [{"pictures": ["a"], "boxes": [[int(HUGE), 0, 1, 1]]}]})
    (tmp_path / "A1").mkdir()
    (tmp_path / "A1/A1.csv").write_text(f"plant001,{HUGE}\nplant002,{HUGE}\n")
    with pytest.raises(DatasetError, match=r"A1\.csv, line 2: expected picture,count"):
        open_dataset(f"cvppp_lcc:{tmp_path}")
    trees.picture(tmp_path / "train/x/img1/000001.jpg")
    (tmp_path / "train/x/gt").mkdir()
    (tmp_path / "train/x/gt/gt.txt").write_text("inf,1,1,1,5,5,1,1,1\n")
    with pytest.raises(DatasetError, match=r"gt\.txt, line 1: a number is not finite"):
        open_dataset(f"crohd:{tmp_path}").annotation(0)


@pytest.mark.parametrize(
    ("spec", "file", "header"),
    [("maize:{}", "counts/training.csv", "fn,label\n"), ("cvppp_lcc:{}", "A1/A1.csv", "")],
)
def test_a_quotation_mark_that_is_never_closed(
    tmp_path: Path, spec: str, file: str, header: str
) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(f'{header}"a.jpg,1\n' + "b.jpg,1\n" * 20_000)
    with pytest.raises(DatasetError, match=rf"{Path(file).name}.*field larger"):
        open_dataset(spec.format(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<?xml version="1.0" encoding="foo"?><annotation/>', r"unknown encoding: foo\)"),
        ("<html><body>404</body></html>", "a document of <html>, expected <annotation>"),
    ],
)
def test_xml_of_another_kind(tmp_path: Path, text: str, message: str) -> None:
    dataset = open_dataset(f"voc:{voc(tmp_path)}")
    (tmp_path / "Annotations/a.xml").write_text(text)
    with pytest.raises(DatasetError, match=rf"a\.xml \({message}"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 0


def listed(root: Path, spec: str, names: list[str]) -> str:
    """What opens a data set whose file lists the pictures ``names``; there is one, a."""
    if spec == "voc":
        voc(root)
        (root / "ImageSets/Main/train.txt").write_text("".join(f"{name}\n" for name in names))
    elif spec == "crowdhuman":
        trees.picture(root / "Images/a.jpg")
        lines = "".join(f'{{"ID": "{name}", "gtboxes": []}}\n' for name in names)
        (root / "annotation_train.odgt").write_text(lines)
    else:
        trees.picture(root / "counts/images/a.jpg")
        rows = "".join(f"{name}.jpg,3\n" for name in names)
        (root / "counts/training.csv").write_text(f"fn,label\n{rows}")
    return f"{spec}:{root}"


@pytest.mark.parametrize("spec", ["voc", "crowdhuman", "maize"])
def test_lists_that_name_a_picture_twice_or_none(tmp_path: Path, spec: str) -> None:
    assert len(open_dataset(listed(tmp_path / "one", spec, ["a"]))) == 1
    with pytest.raises(DatasetError, match=r"train.* lists a.* twice; take one"):
        open_dataset(listed(tmp_path / "twice", spec, ["a", "a"]))
    with pytest.raises(DatasetError, match=r"train.* lists no picture"):
        open_dataset(listed(tmp_path / "none", spec, []))


def test_names_of_digits_that_are_no_number() -> None:
    names = ["²", "b", "9" * 5_000, "a"]
    assert sorted(names, key=natural_key) == ["9" * 5_000, "a", "b", "²"]
