"""Readers of boxes and shapes, on made-up trees in the true layouts and on real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import trees
from PIL import Image

from fastcount.data import DatasetError, open_dataset

Box = tuple[str, int, int, int, int]


def voc(root: Path, pictures: dict[str, Sequence[Box]]) -> Path:
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets/Main").mkdir(parents=True)
    for name, boxes in pictures.items():
        trees.picture(root / f"JPEGImages/{name}.jpg", (40, 60))
        objects = "".join(
            f"<object><name>{label}</name><difficult>{int(label == 'WBC')}</difficult><bndbox>"
            f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for label, x1, y1, x2, y2 in boxes
        )
        (root / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    (root / "ImageSets/Main/train.txt").write_text("\n".join(pictures) + "\n")
    return root


def test_voc_boxes_and_centres(tmp_path: Path) -> None:
    boxes = [("RBC", 1, 1, 10, 20), ("WBC", 31, 5, 60, 40), ("RBC", 7, 7, 7, 7)]
    voc(tmp_path, {"b": boxes, "a": []})
    dataset = open_dataset(f"bccd:{tmp_path}?split=train")
    assert dataset.ids == ("b", "a")
    sample = dataset[0]
    assert sample["boxes"].tolist() == [[0, 0, 10, 20], [30, 4, 60, 40]]  # the slip is left out
    assert sample["points"].tolist() == [[4.5, 9.5], [44.5, 21.5]]
    assert [dataset.classes[label] for label in sample["labels"]] == ["RBC", "WBC"]
    assert sample["count"] == 2
    empty = dataset[1]
    assert (empty["count"], empty["boxes"].shape, empty["points"].shape) == (0, (0, 4), (0, 2))
    assert open_dataset(f"bccd:{tmp_path}?difficult=false")[0]["count"] == 1
    both = "classes=RBC,WBC,Platelets"
    assert open_dataset(f"voc_count:{tmp_path}?{both}")[0]["count"] == 1


def test_scut_head_is_one_part_in_vocs_layout(tmp_path: Path) -> None:
    part = voc(tmp_path / "SCUT_HEAD_Part_A", {"PartA_00000": [("person", 1, 1, 10, 20)]})
    dataset = open_dataset(f"scut_head:{part}?split=train")
    assert dataset.ids == ("PartA_00000",)
    assert dataset.classes == ("person",)
    assert dataset[0]["boxes"].tolist() == [[0, 0, 10, 20]]


def test_voc_errors(tmp_path: Path) -> None:
    voc(tmp_path, {"a": [("RBC", 1, 1, 9, 9)]})
    with pytest.raises(DatasetError, match=r"a\.xml.*'RBC' is none of aeroplane.*classes="):
        open_dataset(f"voc:{tmp_path}")[0]
    assert open_dataset(f"voc:{tmp_path}?classes=WBC,RBC")[0]["labels"].tolist() == [1]
    with pytest.raises(DatasetError, match="splits there: train"):
        open_dataset(f"voc:{tmp_path}?split=test")
    (tmp_path / "Annotations/a.xml").write_text("<annotation><object>")
    with pytest.raises(DatasetError, match=r"a\.xml.*unpack"):
        open_dataset(f"bccd:{tmp_path}")[0]
    (tmp_path / "JPEGImages/a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"no picture .*a\.jpg"):
        open_dataset(f"bccd:{tmp_path}")


def test_real_bccd(data_dir: Path) -> None:
    counts = [0, 0, 0]
    for split, number in (("train", 205), ("val", 87)):
        dataset = open_dataset(f"bccd:{data_dir / 'bccd'}?split={split}")
        assert len(dataset) == number
        for index in range(number):
            labels = dataset.annotation(index).labels
            assert labels is not None
            for label in labels:
                counts[label] += 1
    assert sum(counts) == 3_350 + 301 + 292 - 2  # two bad boxes
    assert counts[1] == 301


def coco_content() -> dict[str, list[dict[str, object]]]:
    return {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
        "categories": [{"id": 44, "name": "bottle"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 44, "bbox": [10, 4, 20, 8], "iscrowd": 0},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 60, 40], "iscrowd": 1},
            {"image_id": 7, "category_id": 1, "bbox": [5, 5, 0, 3], "iscrowd": 0},
        ],
    }


def test_coco_count_halves_what_is_chosen_and_tested_on(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trees.picture(tmp_path / f"val2014/{name}.jpg", (40, 60))
    (tmp_path / "annotations").mkdir()
    content = json.dumps(coco_content())
    (tmp_path / "annotations/instances_val2014.json").write_text(content)
    chosen, tested = (
        open_dataset(f"coco_count:{tmp_path}?split=count-{x}") for x in ("val", "test")
    )
    assert chosen.ids == ("a.jpg",)
    assert tested.ids == ("b.jpg",)
    assert (chosen[0]["count"], tested[0]["count"]) == (0, 1)


@pytest.mark.parametrize("kind", ["coco", "coco_count"])
def test_coco(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        trees.picture(tmp_path / f"val2014/{name}.jpg", (40, 60))
    file = tmp_path / "annotations/instances_val2014.json"
    file.parent.mkdir()
    file.write_text(json.dumps(coco_content()))
    spec = f"coco:{file}?pictures=../val2014" if kind == "coco" else f"{kind}:{tmp_path}?split=val"
    dataset = open_dataset(spec)
    assert dataset.ids == ("a.jpg", "b.jpg")
    assert dataset.classes == ("person", "bottle")
    assert dataset[0]["count"] == 0
    assert dataset[1]["boxes"].tolist() == [[10, 4, 30, 12]]
    assert dataset[1]["points"].tolist() == [[19.5, 7.5]]
    assert dataset[1]["labels"].tolist() == [1]
    file.write_text(file.read_text()[:-30])
    with pytest.raises(DatasetError, match=r"instances_val2014\.json"):
        open_dataset(spec)


def test_coco_lists_every_picture_once_and_has_it(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.jpg", (40, 60))
    file = tmp_path / "boxes.json"
    content = coco_content()
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"no picture .*b\.jpg"):
        open_dataset(f"coco:{file}")
    content["images"] = [image for image in content["images"] if image["file_name"] == "a.jpg"] * 2
    for images in (content["images"], []):
        file.write_text(json.dumps(content | {"images": images}))
        with pytest.raises(DatasetError, match="lists no picture, or one twice"):
            open_dataset(f"coco:{file}")


def yolo(root: Path) -> Path:
    for name in ("a", "b", "c"):
        trees.picture(root / f"images/train2017/{name}.jpg", (40, 80))
    (root / "labels/train2017").mkdir(parents=True)
    (root / "labels/train2017/a.txt").write_text("1 0.5 0.5 0.25 0.5\n0 0 0 1 0 1 1 0 1\n\n")
    (root / "labels/train2017/b.txt").write_text("")
    (root / "data.yaml").write_text("train: images/train2017\nnames:\n  0: cat\n  1: dog\n")
    return root


def test_yolo(tmp_path: Path) -> None:
    dataset = open_dataset(f"yolo:{yolo(tmp_path)}?split=train")
    assert dataset.classes == ("cat", "dog")
    assert dataset[0]["boxes"].tolist() == [[30, 10, 50, 30], [0, 0, 80, 40]]
    assert dataset[0]["labels"].tolist() == [1, 0]
    assert [sample["count"] for sample in dataset] == [2, 0, 0]  # c has no label file
    assert len(open_dataset(f"yolo:{tmp_path}?split=train2017")) == 3
    with pytest.raises(DatasetError, match="no folder"):
        open_dataset(f"yolo:{tmp_path}?split=val")


@pytest.mark.parametrize("line", ["2 .5 .5 .1 .1", "0 .5 .5 .1", "0 .5 .5 nan .1", "cat 1 1 1 1"])
def test_yolo_broken_line(tmp_path: Path, line: str) -> None:
    yolo(tmp_path)
    (tmp_path / "labels/train2017/a.txt").write_text(f"0 .5 .5 .1 .1\n{line}\n")
    with pytest.raises(DatasetError, match=r"a\.txt, line 2"):
        open_dataset(f"yolo:{tmp_path}")[0]


def test_yolo_of_a_turned_photograph(tmp_path: Path) -> None:
    """The boxes are parts of the picture as it is seen, upright."""
    yolo(tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (80, 40)).save(tmp_path / "images/train2017/a.jpg", exif=turned)
    sample = open_dataset(f"yolo:{tmp_path}")[0]
    assert sample["image"].shape == (3, 80, 40)
    assert sample["boxes"][0].tolist() == [15, 20, 25, 60]
    (tmp_path / "images/train2017/a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with pytest.raises(ValueError, match=r"a\.jpg: is not a picture"):
        open_dataset(f"yolo:{tmp_path}").annotation(0)


def test_real_yolo(data_dir: Path) -> None:
    for split, expected in (("train", (40, 317)), ("val", (12, 95))):
        dataset = open_dataset(f"yolo:{data_dir / 'coco_slice'}?split={split}")
        total = sum(dataset.annotation(index).count for index in range(len(dataset)))
        assert (len(dataset), total) == expected
    assert len(dataset.classes) == 80


def test_labelme(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.png", (40, 60))
    shapes = [
        {"label": "leaf", "shape_type": "rectangle", "points": [[10, 20], [4, 8]]},
        {"label": "pot", "shape_type": "polygon", "points": [[0, 0], [9, 0], [9, 5]]},
        {"label": "leaf", "shape_type": "circle", "points": [[20, 20], [20, 25]]},
    ]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"imagePath": "a.png", "shapes": shapes}))
    sample = open_dataset(f"labelme:{tmp_path}")[0]
    assert sample["boxes"].tolist() == [[4, 8, 10, 20], [0, 0, 9, 5], [15, 15, 25, 25]]
    assert sample["points"].tolist() == [[6.5, 13.5], [4, 2], [19.5, 19.5]]
    assert sample["labels"].tolist() == [0, 1, 0]
    assert open_dataset(f"labelme:{tmp_path}?classes=pot")[0]["count"] == 1
    shapes.append({"label": "tip", "shape_type": "point", "points": [[3, 4]]})
    file.write_text(json.dumps({"imagePath": "a.png", "shapes": shapes}))
    with_point = open_dataset(f"labelme:{tmp_path}")[0]
    assert with_point["points"][-1].tolist() == [2.5, 3.5]
    assert "boxes" not in with_point
    file.write_text('{"imagePath": "a.png"}')
    with pytest.raises(DatasetError, match=r"a\.json.*shapes"):
        open_dataset(f"labelme:{tmp_path}")


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    yolo(tmp_path)
    trees.picture(tmp_path / "images/train2017/a.png", (40, 80))
    with pytest.raises(DatasetError, match=r"a\.jpg and a\.png would share one annotation"):
        open_dataset(f"yolo:{tmp_path}")
