"""Targets of mask focal loss: against the same drawn cell by cell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastcount.losses.mask_targets import box_heatmap, box_mask, grid_centres, owners
from fastcount.ops import small_object_sigma

BOXES = torch.tensor(
    [[8.0, 4, 20, 20], [30, 30, 32, 33], [-9, 10, 11, 18], [50, 2, 70, 9], [0.2, 59, 0.4, 63.9]]
)
LABELS = torch.tensor([0, 1, 0, 1, 1])
SIZE, STRIDE = (16, 16), 4


def mask_by_hand(offset: float, shrink: float) -> Tensor:
    mask = torch.zeros(2, *SIZE, dtype=torch.bool)
    for (x1, y1, x2, y2), label in zip(BOXES.tolist(), LABELS.tolist(), strict=True):
        mx, my, hx, hy = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
        for v in range(SIZE[0]):
            for u in range(SIZE[1]):
                x, y = (u + offset) * STRIDE, (v + offset) * STRIDE
                if abs(x - mx) <= hx * shrink and abs(y - my) <= hy * shrink:
                    mask[label, v, u] = True
        u, v = (min(max(math.floor(m / STRIDE - offset + 0.5), 0), 15) for m in (mx, my))
        mask[label, v, u] = True
    return mask


@pytest.mark.parametrize("offset", [0.5, 0.0])
@pytest.mark.parametrize("shrink", [1.0, 0.4])
def test_mask_is_the_inside_of_the_boxes(offset: float, shrink: float) -> None:
    mask = box_mask(
        [BOXES, BOXES[:0]],
        [LABELS, LABELS[:0]],
        SIZE,
        stride=STRIDE,
        num_classes=2,
        offset=offset,
        shrink=shrink,
    )
    assert mask.dtype == torch.bool
    assert torch.equal(mask[0], mask_by_hand(offset, shrink))
    assert not mask[1].any()


def test_owner_is_the_smallest_box_around() -> None:
    boxes = torch.tensor([[0.0, 0, 64, 64], [8, 8, 24, 24], [10, 10, 18, 18], [40, 40, 41, 41]])
    owner = owners(boxes, SIZE, stride=STRIDE).reshape(SIZE)
    masks = [box_mask([one[None]], [LABELS[:1]], SIZE, stride=STRIDE)[0, 0] for one in boxes]
    expected = torch.zeros(SIZE, dtype=torch.int64)
    for place in (1, 2, 3):  # from large to small
        expected[masks[place]] = place
    assert torch.equal(owner, expected)
    assert (owner == 3).sum() == 1
    small = owners(boxes, SIZE, stride=STRIDE, shrink=0.25).reshape(SIZE)
    assert small[0, 0] == -1
    assert small[8, 8] == 0
    assert (owners(boxes[:0], SIZE, stride=STRIDE) == -1).all()


def test_heatmap_sums_kernels_and_clamps() -> None:
    close = torch.tensor([[8.0, 8, 16, 16], [14, 8, 22, 16]])  # cells (2.5, 2.5) and (4, 2.5)
    labels = torch.zeros(2, dtype=torch.int64)
    options = {"stride": STRIDE, "num_classes": 1}
    summed = box_heatmap([close], [labels], SIZE, **options)
    highest = box_heatmap([close], [labels], SIZE, reduce="max", **options)
    reach = 2 * 2 + 1  # eq. 10: D = 2 min(w, h) + 1, sides in cells
    sigma = reach * (1 + math.exp(-reach)) / 6
    one = [math.exp(-(d**2) / (2 * sigma**2)) for d in range(3)]
    assert summed[0, 0, 3, 3].item() == 1  # halves round up: cells 3 and 4 of row 3
    assert summed[0, 0, 3, 4].item() == 1
    assert summed[0, 0, 3, 5].item() == pytest.approx(one[1] + one[2], rel=1e-5)
    assert highest[0, 0, 3, 5].item() == pytest.approx(one[1], rel=1e-5)
    assert summed.max() == 1
    narrow = box_heatmap([close], [labels], SIZE, epsilon=12.0, **options)
    assert narrow[0, 0, 3, 5].item() == pytest.approx(one[1] ** 4 + one[2] ** 4, rel=1e-5)


@pytest.mark.parametrize("widths", [{}, {"eta": 0.0}, {"epsilon": 3.0}])
def test_kernels_are_as_wide_as_eta_and_epsilon_say(widths: dict[str, float]) -> None:
    box = torch.tensor([[2.0, 2.0, 3.0, 3.0]])
    heat = box_heatmap([box], [torch.zeros(1, dtype=torch.int64)], (5, 5), stride=1, **widths)
    sigma = float(small_object_sigma(torch.ones(2), **widths))
    assert float(heat[0, 0, 2, 3]) == pytest.approx(math.exp(-1 / (2 * sigma**2)), rel=1e-5)


@pytest.mark.parametrize("epsilon", [6.0, 24.0])
def test_every_cell_of_a_long_box_has_a_part_of_its_kernel(epsilon: float) -> None:
    boxes = torch.tensor([[4.0, 20, 60, 32]])
    labels = torch.zeros(1, dtype=torch.int64)
    options = {"stride": STRIDE, "num_classes": 1}
    heat = box_heatmap([boxes], [labels], SIZE, epsilon=epsilon, **options)[0, 0]
    inside = box_mask([boxes], [labels], SIZE, **options)[0, 0]
    sides = (boxes[:, 2:] - boxes[:, :2]) / STRIDE
    sigma = float(small_object_sigma(sides, epsilon=epsilon))
    x, y = ((grid_centres(boxes, SIZE, STRIDE)[0] + 0.5).floor()).tolist()
    rows, columns = torch.arange(16.0)[:, None], torch.arange(16.0)
    whole = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    torch.testing.assert_close(heat[inside], whole[inside], rtol=1e-5, atol=1e-30)


def test_objects_at_the_rim_have_a_cell() -> None:
    corners = torch.tensor([[-4.0, -4, 4.2, 4.2], [60, 60, 67.9, 67.9]])
    for offset in (0.0, 0.5):
        centres = grid_centres(corners, SIZE, STRIDE, offset)
        assert centres.min() >= 0
        assert centres.max() <= 15
        heat = box_heatmap(
            [corners], [torch.zeros(2, dtype=torch.int64)], SIZE, stride=STRIDE, offset=offset
        )
        assert heat[0, 0, 0, 0] == 1
        assert heat[0, 0, 15, 15] == 1


def test_empty_batch_entries() -> None:
    heat = box_heatmap([torch.zeros(0, 4)], [LABELS[:0]], SIZE, stride=STRIDE, num_classes=3)
    assert heat.shape == (1, 3, *SIZE)
    assert heat.sum() == 0
