from __future__ import annotations

from pathlib import Path

import pytest
import torch
import trees
from torchvision import tv_tensors
from torchvision.transforms import v2

from fastcount.data import KeepInside, PixelPoints, Sample, open_dataset
from fastcount.data.transforms import inside


def sample_of(points: list[list[float]], size: tuple[int, int] = (10, 20)) -> Sample:
    placed = torch.tensor(points, dtype=torch.float32).reshape(-1, 2)
    boxes = torch.cat([placed - 0.5, placed + 1.5], dim=1)
    return {
        "image": tv_tensors.Image(torch.zeros(3, *size, dtype=torch.uint8)),
        "points": PixelPoints(placed, canvas_size=size),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size),
        "labels": torch.arange(len(points)),
        "count": float(len(points)),
        "id": "made up",
    }


def test_inside_is_half_open() -> None:
    points = torch.tensor([[-0.5, -0.5], [19.49, 9.49], [19.5, 5], [5, 9.5], [-0.51, 5]])
    assert inside(points, (10, 20)).tolist() == [True, True, False, False, False]


def test_dots_that_leave_a_crop_are_removed() -> None:
    crop = v2.Compose([v2.CenterCrop((6, 8)), KeepInside()])  # x 6 to 13, y 2 to 7
    sample = crop(sample_of([[6, 2], [13, 7], [5, 5], [14, 5], [10, 1], [10, 8], [10, 5]]))
    assert sample["points"].tolist() == [[0, 0], [7, 5], [4, 3]]
    assert sample["labels"].tolist() == [0, 1, 6]
    assert sample["boxes"].shape == (3, 4)
    assert sample["count"] == 3
    assert sample["points"].canvas_size == (6, 8)


def test_without_a_crop_all_inside_stay_and_the_sample_is_not_changed() -> None:
    before = sample_of([[0, 0], [-3, 4], [19, 9]])
    after = KeepInside()(before)
    assert after["count"] == 2
    assert before["count"] == 3
    assert len(before["points"]) == 3


def test_crops_share_out_the_dots() -> None:
    sample = open_dataset("synthetic:?count=60&size=128")[0]
    parts = [
        KeepInside()({**sample, **moved(sample, top, left)}) for top in (0, 64) for left in (0, 64)
    ]
    assert sum(part["count"] for part in parts) == 60


def moved(sample: Sample, top: int, left: int) -> dict[str, torch.Tensor]:
    window = (top, left, 64, 64)
    return {key: v2.functional.crop(sample[key], *window) for key in ("image", "points")}


def test_outside_dots_of_a_whole_picture_count(tmp_path: Path) -> None:
    trees.shanghaitech(tmp_path, [[[5, 5], [400, 5]]])
    sample = open_dataset(f"shanghaitech:{tmp_path}")[0]
    scaled = v2.Resize((48, 64))(sample)
    assert (sample["count"], scaled["count"]) == (2, 2)
    assert scaled["points"].tolist() == [[8.5, 8.5], [798.5, 8.5]]


def test_a_count_without_points_cannot_be_cropped() -> None:
    sample = sample_of([[1, 1]])
    del sample["points"]
    with pytest.raises(ValueError, match="'made up' has a count but no points"):
        KeepInside()(sample)


def test_boxes_that_another_transform_removed_are_told_of() -> None:
    sanitized = v2.Compose([v2.CenterCrop((6, 8)), v2.SanitizeBoundingBoxes(), KeepInside()])
    with pytest.raises(ValueError, match="'made up' has 3 points but 2 boxes: leave"):
        sanitized(sample_of([[6, 2], [10, 5], [0, 0]]))
    sample = sample_of([[6, 2], [10, 5]])
    sample["labels"] = sample["labels"][:1]
    with pytest.raises(ValueError, match="'made up' has 2 points but 1 labels"):
        KeepInside()(sample)
