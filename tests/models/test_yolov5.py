"""What YOLOv5's anchors learn, and where they say boxes are."""

from __future__ import annotations

import pytest
import torch

from fastcount.models import create_model
from fastcount.models.parts.box_detector import BoxTruth
from fastcount.models.parts.dense_detector import DenseOutput


def truth(*boxes: list[float]) -> BoxTruth:
    return BoxTruth(
        torch.tensor(boxes).reshape(-1, 4),
        torch.zeros(len(boxes), dtype=torch.int64),
        torch.zeros(0, 4),
    )


def test_a_box_is_learnt_in_its_cell_and_the_two_beside_it() -> None:
    model = create_model("yolov5", size="n")
    sizes = [(8, 8), (4, 4), (2, 2)]
    # middle (21, 29): cell (2, 3) of stride 8, right of its middle in x and in y
    matched = model._matched(truth([16, 22, 26, 36]), sizes)
    learning = torch.where(matched[:192] == 0)[0].tolist()
    cells = {(place // 3 % 8, place // 3 // 8) for place in learning}
    assert cells == {(2, 3), (3, 3), (2, 4)}
    # 10x14 fits 10x13 and 16x30 and 33x23 within a factor of 4
    anchors = {place % 3 for place in learning}
    assert anchors == {0, 1, 2}
    # 30x61, the smallest of the next level, is more than four times as high
    assert (matched[192:] == -1).all()
    assert (model._matched(truth(), sizes) == -1).all()
    # a rim's cells beside it that lie outside are left out
    corner = torch.where(model._matched(truth([0, 0, 4, 4]), sizes)[:192] == 0)[0]
    assert {place // 3 for place in corner.tolist()} == {0}


def test_the_smaller_of_two_boxes_is_learnt() -> None:
    model = create_model("yolov5", size="n")
    matched = model._matched(truth([10, 10, 40, 40], [20, 20, 30, 30]), [(8, 8), (4, 4), (2, 2)])
    own = 3 * (3 * 8 + 3)
    assert matched[own] == 1


def test_boxes_lie_about_their_cells() -> None:
    model = create_model("yolov5", size="n", anchor_scale=2.0)
    sizes = [(8, 8), (4, 4), (2, 2)]
    output = DenseOutput({"cls_logits": torch.zeros(1, 252, 1)}, sizes, (64, 64))
    place = torch.tensor([0, 3 * 9 + 1, 192 + 2])
    boxes = model._decoded(torch.zeros(3, 4), place, output)
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    assert middle.tolist() == [[4, 4], [12, 12], [8, 8]]
    assert sides.tolist() == [[20, 26], [32, 60], [118, 238]]
    far = model._decoded(torch.full((1, 4), 20.0), place[:1], output)
    torch.testing.assert_close((far[:, :2] + far[:, 2:]) / 2, torch.tensor([[12.0, 12]]))
    torch.testing.assert_close(far[:, 2:] - far[:, :2], torch.tensor([[80.0, 104]]))


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 1_872_157), ("s", 7_235_389), ("m", 21_190_557), ("l", 46_563_709), ("x", 86_749_405)],
)
def test_as_many_parameters_as_the_published_models(size: str, parameters: int) -> None:
    """Of YOLOv5 6.0 for COCO's 80 classes."""
    with torch.device("meta"):
        model = create_model("yolov5", size=size, classes=[str(n) for n in range(80)])
    assert sum(each.numel() for each in model.parameters()) == parameters


def test_size_is_checked() -> None:
    with pytest.raises(ValueError, match="size: need one of n, s, m, l, x"):
        create_model("yolov5", size="xl")
