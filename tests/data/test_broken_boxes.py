"""COCO and VOC: no box is lost without a word, and a broken one costs its own picture only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trees

from fastcount.data import DatasetError, open_dataset


def coco(root: Path, **changes: object) -> Path:
    """Two pictures with a box each; ``changes`` go to the first annotation."""
    for name in ("a", "b"):
        trees.picture(root / f"{name}.jpg", (40, 60))
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": number, "category_id": 1, "bbox": [1, 2, 3, 4]} for number in (1, 2)
        ],
    }
    content["annotations"][0].update(changes)
    file = root / "boxes.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("image_id", "cure"),
    [
        ("1", "'1' of no picture; the picture's is 1: write both as numbers, or both as text"),
        (3, "3 of no picture; list the picture, or take out its annotations"),
    ],
)
def test_an_annotation_of_no_picture(tmp_path: Path, image_id: object, cure: str) -> None:
    file = coco(tmp_path, image_id=image_id)
    with pytest.raises(DatasetError, match=rf"boxes\.json .*annotations\[0\] .* {cure}"):
        open_dataset(f"coco:{file}")


@pytest.mark.parametrize(
    ("part", "ids", "message"),
    [
        ("images", (1, 1), "images 'a.jpg' and 'b.jpg' share the id 1; give each its own"),
        ("images", (1, "2"), r"images\[1\] has the id '2' and images\[0\] 1; write all"),
        ("images", (1, None), r"images\[1\] has the id None; give it a whole number"),
        ("categories", (1, 1), "categories 'person' and 'dog' share the id 1"),
    ],
)
def test_ids_that_tell_nothing_apart(
    tmp_path: Path, part: str, ids: tuple[object, ...], message: str
) -> None:
    file = coco(tmp_path)
    content = json.loads(file.read_text())
    for entry, number in zip(content[part], ids, strict=True):
        entry["id"] = number
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"boxes\.json .*{message}"):
        open_dataset(f"coco:{file}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 2, float("nan"), 4]}, r"the bbox \[1, 2, nan, 4\] \(not finite\)"),
        ({"bbox": [1, 2, 3, float("inf")]}, "inf.*not finite"),
        ({"bbox": [1, 2, 3]}, r"bbox \[1, 2, 3\]"),
        ({"bbox": None}, "bbox None"),
        ({"bbox": "1234"}, "bbox '1234'"),
        ({"iscrowd": "0"}, "iscrowd '0'"),
        ({"bbox": [1, 2, 3, 10**400]}, "too large to convert"),
        ({"bbox": [1, 2, 3, 1e39]}, "beyond float32"),
        ({"category_id": 7}, "category_id 7, which is no category's"),
        ({"category_id": [1]}, "category_id .*no category's"),
    ],
)
def test_a_broken_annotation(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    dataset = open_dataset(f"coco:{coco(tmp_path, **changes)}")
    with pytest.raises(DatasetError, match=rf"a\.jpg in .*boxes\.json: .*{message}"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


def test_a_crowd_needs_no_box(tmp_path: Path) -> None:
    dataset = open_dataset(f"coco:{coco(tmp_path, iscrowd=1, bbox=None)}")
    assert [dataset.annotation(index).count for index in range(2)] == [0, 1]


@pytest.mark.parametrize("annotations", [{}, "", None])
def test_annotations_that_are_no_list(tmp_path: Path, annotations: object) -> None:
    file = coco(tmp_path)
    content = json.loads(file.read_text()) | {"annotations": annotations}
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"boxes\.json .*annotations is .*, no list"):
        open_dataset(f"coco:{file}")


@pytest.mark.parametrize("value", ["nan", "inf", "1e39"])
def test_voc_box_that_is_not_finite(tmp_path: Path, value: str) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb\n")
    for name, right in (("a", value), ("b", "9")):
        trees.picture(tmp_path / f"JPEGImages/{name}.jpg", (40, 60))
        (tmp_path / f"Annotations/{name}.xml").write_text(
            "<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
            f"<xmax>{right}</xmax><ymax>9</ymax></bndbox></object></annotation>"
        )
    dataset = open_dataset(f"voc:{tmp_path}")
    with pytest.raises(DatasetError, match=r"a\.xml .*not finite"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


@pytest.mark.parametrize(
    "boxes",
    [
        '"x"',
        "{}",
        "[5]",
        '[{"tag": "person", "hbox": [1, 2, 3, 4], "extra": null}]',
        '[{"tag": "person", "hbox": [1, 2, NaN, 4]}]',
    ],
)
def test_crowdhuman_entries_of_another_kind(tmp_path: Path, boxes: str) -> None:
    trees.picture(tmp_path / "Images/a.jpg")
    (tmp_path / "annotation_train.odgt").write_text(f'{{"ID": "a", "gtboxes": {boxes}}}\n')
    with pytest.raises(DatasetError, match=r"annotation_train\.odgt, line 1: "):
        open_dataset(f"crowdhuman:{tmp_path}")
