"""Every reader on its true layout: made up in a temporary folder, and real where at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from fastcount.data import DatasetError, open_dataset
from fastcount.data.instance_masks import InstanceMasks


def total(spec: str) -> tuple[int, float]:
    dataset = open_dataset(spec)
    return len(dataset), sum(dataset.annotation(index).count for index in range(len(dataset)))


def test_ucf_qnrf(tmp_path: Path) -> None:
    trees.ucf_qnrf(tmp_path, [[[1, 1], [12.5, 3]], []])
    trees.ucf_qnrf(tmp_path, [[[2, 2]]], split="Test")
    train = open_dataset(f"ucf_qnrf:{tmp_path}?split=train")
    assert train.ids == ("img_0001", "img_0002")
    assert train[0]["points"].tolist() == [[0, 0], [11.5, 2]]
    assert train[1]["count"] == 0
    assert open_dataset(f"ucf_qnrf:{tmp_path}?split=test")[0]["points"].tolist() == [[1, 1]]
    (tmp_path / "Test/img_0001_ann.mat").write_bytes(b"not MATLAB")
    with pytest.raises(DatasetError, match=r"img_0001_ann\.mat.*annPoints"):
        open_dataset(f"ucf_qnrf:{tmp_path}?split=test")[0]


def test_mall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastcount.data import mall

    monkeypatch.setattr(mall, "FRAMES_FOR_TRAINING", 2)
    trees.mall(tmp_path, [[[1, 1], [8, 6]], [[2, 3]], []])
    train = open_dataset(f"mall:{tmp_path}")
    assert train.ids == ("seq_000001", "seq_000002")
    assert train[0]["points"].tolist() == [[0, 0], [7, 5]]
    test = open_dataset(f"mall:{tmp_path}?split=test")
    assert (test.ids, test[0]["count"]) == (("seq_000003",), 0)
    assert len(open_dataset(f"mall:{tmp_path}?split=all")) == 3
    (tmp_path / "frames/seq_000002.jpg").unlink()
    with pytest.raises(DatasetError, match=r"2 frames .* 3 annotated"):
        open_dataset(f"mall:{tmp_path}")


def test_vgg_cells(tmp_path: Path) -> None:
    trees.picture(tmp_path / "001cell.png", (16, 20))
    # two touching pixels are two cells; border pixels count
    trees.dot_picture(tmp_path / "001dots.png", [(0, 0), (5, 4), (6, 4), (19, 15)], (16, 20), "RGB")
    trees.picture(tmp_path / "onecell.png", (16, 20))  # of no number, so none of the set
    dataset = open_dataset(f"vgg_cells:{tmp_path}")
    assert dataset.ids == ("001cell",)
    assert dataset[0]["points"].tolist() == [[0, 0], [5, 4], [6, 4], [19, 15]]
    Image.new("RGB", (20, 16), "white").save(tmp_path / "001dots.png")
    with pytest.raises(DatasetError, match=r"001dots\.png.*too many"):
        dataset[0]
    (tmp_path / "001dots.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DatasetError, match=r"001dots\.png: is not a picture.*copy it again"):
        dataset[0]
    (tmp_path / "001dots.png").unlink()
    with pytest.raises(DatasetError, match=r"001dots\.png"):
        open_dataset(f"vgg_cells:{tmp_path}")


def test_mbm(tmp_path: Path) -> None:
    trees.picture(tmp_path / "BM_GRAZ_HE_0001_01_000.png", (16, 20))
    dots = tmp_path / "BM_GRAZ_HE_0001_01_dots_000.png"
    trees.dot_picture(dots, [(3, 2), (19, 0)], (16, 20), "1")
    dataset = open_dataset(f"mbm:{tmp_path}")
    assert dataset.ids == ("BM_GRAZ_HE_0001_01_000",)
    assert dataset[0]["points"].tolist() == [[19, 0], [3, 2]]


def masks(root: Path, mask: np.ndarray) -> Path:
    trees.picture(root / "images/a.png", mask.shape)
    (root / "masks").mkdir()
    Image.fromarray(mask).save(root / "masks/a.png")
    return root


def test_instance_masks(tmp_path: Path) -> None:
    mask = np.zeros((40, 50), dtype=np.uint8)
    mask[0:5, 0:5] = 1  # 25 pixels round (2, 2)
    mask[10:16, 20:24] = 1  # 24 pixels of the same colour: another object
    mask[10:16, 24:28] = 2  # touching it in another colour
    mask[30:34, 30:34] = 3  # 16 pixels: a speck
    masks(tmp_path, mask)
    assert open_dataset(f"bbbc039:{tmp_path}")[0]["points"].tolist() == [
        [2, 2],
        [21.5, 12.5],
        [25.5, 12.5],
    ]
    assert open_dataset(f"bbbc039:{tmp_path}?min_area=16")[0]["count"] == 4
    assert open_dataset(f"bbbc039:{tmp_path}?min_area=25")[0]["count"] == 1
    by_label = open_dataset(f"instance_masks:{tmp_path}?instances=labels&min_area=1")
    assert by_label[0]["count"] == 3
    assert isinstance(by_label, InstanceMasks)
    assert np.array_equal(by_label.objects(0), mask)
    of_colours = open_dataset(f"bbbc039:{tmp_path}")
    assert isinstance(of_colours, InstanceMasks)
    numbers = of_colours.objects(0)
    assert np.unique(numbers).tolist() == [0, 1, 2, 3]  # the speck is none
    assert np.array_equal(numbers == 3, mask == 2)
    with pytest.raises(ValueError, match="min_area"):
        open_dataset(f"bbbc039:{tmp_path}?min_area=0")


def test_empty_mask(tmp_path: Path) -> None:
    masks(tmp_path, np.zeros((8, 9), dtype=np.uint8))
    sample = open_dataset(f"bbbc039:{tmp_path}")[0]
    assert (sample["count"], sample["points"].shape) == (0, (0, 2))


def test_what_is_drawn_over_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(f"bbbc039:{masks(tmp_path, np.zeros((8, 9), dtype=np.uint8))}")
    trees.picture(tmp_path / "images/a.png", (9, 8))
    wrong = r"masks/a\.png has 8 x 9 pixels \(rows x columns\) and a\.png, upright, 9 x 8"
    with pytest.raises(DatasetError, match=wrong):
        dataset[0]
    turned = Image.new("RGB", (9, 8)).getexif()
    turned[0x0112] = 6  # a camera held sideways: 8 rows as stored, 9 as it is seen
    Image.new("RGB", (9, 8)).save(tmp_path / "images/a.png", exif=turned)
    with pytest.raises(DatasetError, match=wrong):
        dataset[0]
    Image.new("L", (8, 9)).save(tmp_path / "masks/a.png")
    assert dataset[0]["count"] == 0


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("vgg_cells", "vgg_cells", (100, 18_045)),
        ("mbm", "mbm", (10, 1_397)),
        ("bbbc039", "bbbc039", (40, 4_623)),
    ],
)
def test_real_counts(data_dir: Path, folder: str, name: str, expected: tuple[int, int]) -> None:
    assert total(f"{name}:{data_dir / folder}") == expected


def test_csv(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "sub/c.png"):
        trees.picture(tmp_path / name)
    table = tmp_path / "dots.csv"
    table.write_text("path,x,y\nb.png,1.5,2\na.png,,\nsub/c.png,0,0\nb.png,-3,40\n")
    dataset = open_dataset(f"csv:{table}")
    assert dataset.ids == ("b.png", "a.png", "sub/c.png")
    assert dataset[0]["points"].tolist() == [[1.5, 2], [-3, 40]]
    assert dataset[1]["count"] == 0
    assert dataset.path(2) == tmp_path / "sub/c.png"
    assert "labels" not in dataset[0]


def test_csv_of_counts_and_of_labels(tmp_path: Path) -> None:
    trees.picture(tmp_path / "pictures/a.png")
    (tmp_path / "counts.csv").write_text("path,count\na.png,7\n")
    sample = open_dataset(f"csv:{tmp_path / 'counts.csv'}?pictures=pictures")[0]
    assert sample["count"] == 7
    assert "points" not in sample
    (tmp_path / "labels.csv").write_text("path,x,y,label\na.png,1,1,tip\na.png,2,2,base\n")
    dataset = open_dataset(f"csv:{tmp_path / 'labels.csv'}?pictures=pictures")
    assert dataset.classes == ("base", "tip")
    assert dataset[0]["labels"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,x,y\na.png,1,5,2,5\n", "line 2: more cells.*commas"),
        ("path;x;y\na.png;1;2\n", "path,x,y"),
        ("path,x,y\na.png,1,2\na.png,one,2\n", "line 3.*one"),
        ("path,x,y\na.png,1\n", "line 2"),
        ("path,x,y\na.png,nan,2\n", "line 2"),
        ("path,x,y\n", "no rows"),
        ("path,x,y\nmissing.png,1,2\n", r"no picture .*missing\.png"),
        ("path,count\na.png,1\na.png,2\n", "twice"),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, message: str) -> None:
    trees.picture(tmp_path / "a.png")
    (tmp_path / "dots.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        open_dataset(f"csv:{tmp_path / 'dots.csv'}")


def test_coordinates_beyond_float32(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.png")
    (tmp_path / "dots.csv").write_text("path,x,y\na.png,1e39,3\n")
    with pytest.raises(ValueError, match="beyond float32"):
        open_dataset(f"csv:{tmp_path / 'dots.csv'}").annotation(0)


def test_a_table_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "dots.csv").write_bytes("path,x,y\nBäume.png,1,2\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"dots\.csv is no text in UTF-8"):
        open_dataset(f"csv:{tmp_path / 'dots.csv'}")


def test_json(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        trees.picture(tmp_path / name)
    file = tmp_path / "dots.json"
    file.write_text(
        '[{"path": "a.png", "points": [[1, 2.5]], "count": 1, "labels": ["x"]},'
        ' {"path": "b.png", "points": []}, {"path": "c.png", "count": 4.5, "points": null}]'
    )
    dataset = open_dataset(f"json:{file}")
    assert dataset[0]["points"].tolist() == [[1, 2.5]]
    assert dataset[0]["labels"].tolist() == [0]
    assert dataset[1]["points"].shape == (0, 2)
    assert dataset[2]["count"] == 4.5


def test_json_leaves_out_what_count_could_not_count(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.png")
    file = tmp_path / "counts.json"
    file.write_text(
        '[{"path": "b.png", "count": null, "error": "b.png: is damaged"},'
        ' {"path": "a.png", "count": 3.25, "points": null}]'
    )
    dataset = open_dataset(f"json:{file}")
    assert dataset.ids == ("a.png",)
    assert dataset[0]["count"] == 3.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"path": "a.png", "points": [[1, 2]', "cannot read"),
        ("{}", "no list"),
        ('[{"points": []}]', "entry 0"),
        ('[{"path": "a.png"}]', "entry 0.*count None"),
        ('[{"path": "a.png", "points": [[1, 2, 3]]}]', "entry 0"),
        (
            '[{"path": "a.png", "points": [[1, 2]], "count": 5}]',
            "entry 0.*count 5 beside 1",
        ),
        ('[{"path": "a.png", "count": -1}]', "entry 0"),
        ('[{"path": "a.png", "count": Infinity}]', "not finite"),
        ('[{"path": "a.png", "count": Infinity, "points": [[1, 2]]}]', "not finite"),
    ],
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    trees.picture(tmp_path / "a.png")
    (tmp_path / "dots.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        open_dataset(f"json:{tmp_path / 'dots.json'}")
