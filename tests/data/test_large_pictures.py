"""Annotations that are pictures, or need a picture's size: as large as pictures may be."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from fastcount.data import DatasetError, open_dataset


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit, as far below the pictures here as it is below the largest ones."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)


def masks(root: Path) -> Path:
    for name in ("a", "b"):
        trees.picture(root / f"images/{name}.png", (40, 50))
    (root / "masks").mkdir()
    mask = np.zeros((40, 50), dtype=np.uint8)
    mask[5:15, 5:15] = 1
    for name in ("a", "b"):
        Image.fromarray(mask).save(root / f"masks/{name}.png")
    return root


def header_alone(path: Path, width: int, height: int) -> None:
    """A picture that ends where its pixels should begin."""
    path.write_bytes(b"P5 %d %d 255\n" % (width, height))


@pytest.mark.usefixtures("small_limit")
def test_pillows_own_limit_is_not_that_of_annotations(tmp_path: Path) -> None:
    masks(tmp_path / "masks")
    trees.picture(tmp_path / "cells/001cell.png")
    trees.dot_picture(tmp_path / "cells/001dots.png", [(3, 2)], (24, 32), "RGB")
    trees.picture(tmp_path / "yolo/images/train/a.png", (40, 80))
    (tmp_path / "yolo/labels/train").mkdir(parents=True)
    (tmp_path / "yolo/labels/train/a.txt").write_text("0 .5 .5 .25 .5\n")
    (tmp_path / "yolo/data.yaml").write_text("names: [cat]\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_dataset(f"instance_masks:{tmp_path / 'masks'}").annotation(0).count == 1
        assert open_dataset(f"vgg_cells:{tmp_path / 'cells'}").annotation(0).count == 1
        assert open_dataset(f"yolo:{tmp_path / 'yolo'}").annotation(0).count == 1


def test_a_mask_that_is_too_large_is_an_error_of_its_picture(tmp_path: Path) -> None:
    dataset = open_dataset(f"instance_masks:{masks(tmp_path)}")
    header_alone(tmp_path / "masks/a.png", 30_000, 20_000)
    with pytest.raises(DatasetError, match=r"a\.png: has 30000 x 20000 = 600,000,000 pixels"):
        dataset.annotation(0)
    assert dataset.annotation(1).count == 1


def test_a_mask_that_is_cut_short(tmp_path: Path) -> None:
    dataset = open_dataset(f"instance_masks:{masks(tmp_path)}")
    header_alone(tmp_path / "masks/a.png", 50, 40)
    with pytest.raises(DatasetError, match=r"a\.png: is damaged or cut short"):
        dataset.annotation(0)


def test_dots_that_are_too_large(tmp_path: Path) -> None:
    trees.picture(tmp_path / "001cell.png")
    header_alone(tmp_path / "001dots.png", 30_000, 20_000)
    with pytest.raises(DatasetError, match=r"001dots\.png: has 30000 x 20000"):
        open_dataset(f"vgg_cells:{tmp_path}").annotation(0)
