from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from fastcount.data import DatasetError, open_dataset


def test_maize(tmp_path: Path) -> None:
    trees.picture(tmp_path / "counts/images/a.jpg")
    (tmp_path / "counts/training.csv").write_text("fn,label\na.jpg,7\n")
    sample = open_dataset(f"maize:{tmp_path}?part=counts")[0]
    assert sample["count"] == 7
    assert "points" not in sample
    trees.picture(tmp_path / "tips/images/b.jpg")
    row = '3\tb.jpg\t"{""x"": [9, 5], ""y"": [2, 4], ""label"": [""cut"", ""intact""]}"\n'
    table = tmp_path / "tips/validation.tsv"
    table.write_text("\tfn\ttargets\n" + row)
    dataset = open_dataset(f"maize:{tmp_path}?part=tips&split=validation")
    assert dataset[0]["points"].tolist() == [[9, 2], [5, 4]]
    assert [dataset.classes[label] for label in dataset[0]["labels"]] == ["cut", "intact"]
    table.write_text("\tfn\ttargets\n" + row.replace("5]", "]"))
    with pytest.raises(DatasetError, match=r"validation\.tsv, line 2"):
        open_dataset(f"maize:{tmp_path}?part=tips&split=validation")
    with pytest.raises(DatasetError, match=r"validation\.csv; expected"):
        open_dataset(f"maize:{tmp_path}?part=counts&split=validation")


def test_a_count_below_nothing(tmp_path: Path) -> None:
    trees.picture(tmp_path / "counts/images/a.jpg")
    (tmp_path / "counts/training.csv").write_text("fn,label\na.jpg,-1\n")
    with pytest.raises(DatasetError, match=r"training\.csv, line 2: ValueError a count of -1"):
        open_dataset(f"maize:{tmp_path}")


@pytest.mark.parametrize("x", [5, [[9, 7], [5, 3]]])
def test_tips_that_are_no_pairs(tmp_path: Path, x: object) -> None:
    trees.picture(tmp_path / "tips/images/b.jpg")
    targets = json.dumps({"x": x, "y": x, "label": ["cut", "cut"]}).replace('"', '""')
    (tmp_path / "tips/training.tsv").write_text(f'fn\ttargets\nb.jpg\t"{targets}"\n')
    with pytest.raises(DatasetError, match=r"training\.tsv, line 2: ValueError points of shape"):
        open_dataset(f"maize:{tmp_path}?part=tips")


def test_cvppp_lcc(tmp_path: Path) -> None:
    (tmp_path / "A1").mkdir()
    (tmp_path / "A1/A1.csv").write_text("plant010_rgb.png,2\nplant002_rgb.png, 3\n")
    for stem, dots in (("plant002", [(3, 2), (9, 9)]), ("plant010", [(1, 0), (4, 5)])):
        trees.picture(tmp_path / f"A1/{stem}_rgb.png", (16, 20))
        trees.dot_picture(tmp_path / f"A1/{stem}_centers.png", dots, (16, 20), "L")
    dataset = open_dataset(f"cvppp_lcc:{tmp_path}?part=A1")
    assert dataset.ids == ("plant002", "plant010")
    assert dataset[0]["count"] == 3
    assert "points" not in dataset[0]  # two dots for three leaves
    assert dataset[1]["points"].tolist() == [[1, 0], [4, 5]]


def rosettes(root: Path, leaves: int) -> Path:
    trees.picture(root / "data/plant001_rgb.png", (12, 12))
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[0:3, 0:3], mask[6:9, 6:9], mask[11, 11] = 1, 2, 2  # a leaf in two pieces
    Image.fromarray(mask).convert("P").save(root / "data/plant001_label.png")
    (root / "Leaf_counts.csv").write_text(f"Plant001,{leaves}\n")
    return root


def test_ara2013_rosettes(tmp_path: Path) -> None:
    dataset = open_dataset(f"ara2013_rosettes:{rosettes(tmp_path, 2)}")
    assert dataset.ids == ("plant001",)  # names differ in case between table and files
    assert dataset[0]["count"] == 2
    assert dataset[0]["points"].tolist()[0] == [1, 1]


def test_rosettes_without_a_mask(tmp_path: Path) -> None:
    (rosettes(tmp_path, 2) / "data/plant001_label.png").unlink()
    with pytest.raises(DatasetError, match=r"mask.*plant001_label\.png"):
        open_dataset(f"ara2013_rosettes:{tmp_path}")


def test_rosettes_disagree(tmp_path: Path) -> None:
    dataset = open_dataset(f"ara2013_rosettes:{rosettes(tmp_path, 5)}")
    with pytest.raises(DatasetError, match=r"plant001_label\.png shows 2 leaves .* states 5"):
        dataset[0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("maize:{}/maize_leaves?part=counts&split=train", (240, 2_280)),
        ("maize:{}/maize_leaves?part=counts&split=validation", (60, 570)),
        ("maize:{}/maize_leaves?part=tips&split=train", (30, 271)),
        ("maize:{}/maize_leaves?part=tips&split=validation", (10, 80)),
        ("ara2013_rosettes:{}/ara2013_rosettes", (16, 118)),
    ],
)
def test_real_counts_of_plants(data_dir: Path, spec: str, expected: tuple[int, int]) -> None:
    dataset = open_dataset(spec.format(data_dir))
    total = sum(dataset.annotation(index).count for index in range(len(dataset)))
    assert (len(dataset), total) == expected
