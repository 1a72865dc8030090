from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import trees
from PIL import Image

from fastcount.data import DatasetError, find_duplicates, open_dataset
from fastcount.data.transforms import inside

# images are 24 x 32; dots are MATLAB's, the centre of the first pixel at (1, 1)
DOTS = ([[1, 1], [32, 24], [10.5, 12.25]], [], [[0.6, 5], [-90, 3], [3370.5, 8]])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return trees.shanghaitech(tmp_path, DOTS)


def test_layout_and_matlab_origin(root: Path) -> None:
    dataset = open_dataset(f"shanghaitech:{root}?part=A&split=train")
    assert dataset.ids == ("IMG_1", "IMG_2", "IMG_3")
    assert dataset.path(1) == root / "part_A/train_data/images/IMG_2.jpg"
    sample = dataset[0]
    assert sample["points"].tolist() == [[0, 0], [31, 23], [9.5, 11.25]]
    assert sample["points"].dtype == torch.float32
    assert sample["points"].canvas_size == (24, 32)
    assert sample["image"].shape == (3, 24, 32)
    assert sample["image"].dtype == torch.uint8


def test_no_dots(root: Path) -> None:
    sample = open_dataset(f"shanghaitech:{root}")[1]
    assert sample["count"] == 0
    assert sample["points"].shape == (0, 2)


def test_dots_outside_count_and_stay_where_they_are(root: Path) -> None:
    sample = open_dataset(f"shanghaitech:{root}")[2]
    assert sample["count"] == 3
    assert sample["points"].max() == 3369.5
    assert inside(sample["points"], (24, 32)).tolist() == [True, False, False]  # -0.4 is inside


def test_grey_pictures_have_three_channels(tmp_path: Path) -> None:
    trees.shanghaitech(tmp_path, DOTS[:1], mode="L")
    image = open_dataset(f"shanghaitech:{tmp_path}")[0]["image"]
    assert image.shape == (3, 24, 32)
    assert torch.equal(image[0], image[2])


def test_order_is_by_number(tmp_path: Path) -> None:
    trees.shanghaitech(tmp_path, [[]] * 11)
    ids = open_dataset(f"shanghaitech:{tmp_path}").ids
    assert ids[1:3] == ("IMG_2", "IMG_3")
    assert ids[-1] == "IMG_11"


def test_truncated_annotation_names_file_and_cure(root: Path) -> None:
    file = root / "part_A/train_data/ground_truth/GT_IMG_1.mat"
    file.write_bytes(file.read_bytes()[:-40])
    dataset = open_dataset(f"shanghaitech:{root}")
    assert dataset[1]["count"] == 0  # the others can still be read
    with pytest.raises(DatasetError, match=r"GT_IMG_1\.mat.*unpack"):
        dataset[0]


def test_stated_number_must_agree(root: Path) -> None:
    file = root / "part_A/train_data/ground_truth/GT_IMG_1.mat"
    info = trees.object_array({"location": np.ones((2, 2)), "number": 3})
    scipy.io.savemat(file, {"image_info": info})
    with pytest.raises(DatasetError, match=r"GT_IMG_1\.mat.*2 dots where 3"):
        open_dataset(f"shanghaitech:{root}").annotation(0)


def test_missing_annotation_and_missing_folder(root: Path, tmp_path: Path) -> None:
    (root / "part_A/train_data/ground_truth/GT_IMG_2.mat").unlink()
    with pytest.raises(DatasetError, match=r"no annotation .*GT_IMG_2\.mat"):
        open_dataset(f"shanghaitech:{root}")
    with pytest.raises(DatasetError, match=r"part_B.*expected"):
        open_dataset(f"shanghaitech:{tmp_path}?part=B")


@pytest.mark.parametrize(
    ("part", "split", "pictures", "heads"),
    [("A", "train", 300, 162_707), ("B", "train", 400, 49_280)],
)
def test_real_train_counts(
    data_dir: Path, part: str, split: str, pictures: int, heads: int
) -> None:
    dataset = open_dataset(f"shanghaitech:{data_dir / 'shanghaitech'}?part={part}&split={split}")
    assert len(dataset) == pictures
    assert sum(dataset.annotation(index).count for index in range(pictures)) == heads


def test_real_worst_dots(data_dir: Path) -> None:
    dataset = open_dataset(f"shanghaitech:{data_dir / 'shanghaitech'}")
    sample = dataset[dataset.ids.index("IMG_141")]
    within = inside(sample["points"], tuple(sample["image"].shape[-2:]))
    assert sample["count"] == 502
    assert int((~within).sum()) == 96
    assert float(sample["points"][:, 0].max()) - sample["image"].shape[-1] > 3_300


def test_real_grey_pictures(data_dir: Path) -> None:
    grey = 0
    for split in ("train", "test"):
        dataset = open_dataset(f"shanghaitech:{data_dir / 'shanghaitech'}?split={split}")
        for index in range(len(dataset)):
            with Image.open(dataset.path(index)) as picture:
                is_grey = picture.mode == "L"
            grey += is_grey
            if is_grey:
                assert dataset.picture(index).shape[2] == 3
    assert grey >= 1


def test_a_test_picture_that_is_also_in_train(data_dir: Path, tmp_path: Path) -> None:
    """Test IMG_98 of part A is train IMG_121, byte for byte; where absent, a copy stands in."""
    real = data_dir / "shanghaitech/part_A"
    twin_is_here = (real / "test_data/images/IMG_98.jpg").is_file()
    for folder, name in (("images", "IMG_{}.jpg"), ("ground_truth", "GT_IMG_{}.mat")):
        source = real / "train_data" / folder
        test_source = real / "test_data" / folder / name.format(98)
        contents = {
            "train_data": {number: source / name.format(number) for number in (1, 2, 121)},
            "test_data": {98: test_source if twin_is_here else source / name.format(121)},
        }
        for part, files in contents.items():
            (tmp_path / "part_A" / part / folder).mkdir(parents=True)
            for number, file in files.items():
                target = tmp_path / "part_A" / part / folder / name.format(number)
                target.write_bytes(file.read_bytes())
    train = open_dataset(f"shanghaitech:{tmp_path}?split=train")
    test = open_dataset(f"shanghaitech:{tmp_path}?split=test")
    assert find_duplicates(test, train) == [("IMG_98", "IMG_121")]
