"""A transform of torchvision must move a dot with the thing it marks, to a tenth of a pixel."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from fastcount.data import PixelPoints

HEIGHT, WIDTH = 96, 128
SPOTS = ((40.3, 30.6), (90.2, 60.9), (64.0, 48.0))


def picture_of(x: float, y: float) -> tv_tensors.Image:
    """One smooth spot whose centre of mass is at (x, y)."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
    return tv_tensors.Image(torch.from_numpy(spot).float().expand(3, -1, -1).clone())


def middle_of(image: Tensor) -> tuple[float, float]:
    mass = image[0].double()
    rows, columns = torch.meshgrid(
        torch.arange(mass.shape[0]), torch.arange(mass.shape[1]), indexing="ij"
    )
    total = mass.sum()
    return float((columns * mass).sum() / total), float((rows * mass).sum() / total)


BILINEAR = v2.InterpolationMode.BILINEAR


@pytest.mark.parametrize(
    ("transform", "tolerance"),
    [
        (v2.Resize((48, 64)), 0.05),
        (v2.Resize((192, 256)), 0.05),
        (v2.Resize((67, 201)), 0.05),
        (v2.RandomHorizontalFlip(1.0), 0.01),
        (v2.RandomVerticalFlip(1.0), 0.01),
        (v2.CenterCrop((90, 120)), 0.05),
        (v2.Pad([3, 5, 7, 9]), 0.01),
        (v2.RandomRotation((90, 90), expand=True, interpolation=BILINEAR), 0.01),
        (v2.RandomRotation((20, 20), interpolation=BILINEAR), 0.05),
        (v2.RandomRotation((20, 20), expand=True, interpolation=BILINEAR), 0.05),
        (v2.RandomRotation((-33, -33), expand=True, interpolation=BILINEAR), 0.05),
        (v2.RandomRotation((15, 15), center=[50, 40], interpolation=BILINEAR), 0.05),
        (v2.RandomAffine((12, 12), scale=(1.1, 1.1), interpolation=BILINEAR), 0.05),
        (v2.RandomAffine((0, 0), translate=(0.05, 0.05), interpolation=BILINEAR), 0.05),
        (v2.RandomPerspective(0.2, p=1.0, interpolation=BILINEAR), 0.3),
        (v2.ElasticTransform(alpha=60.0, sigma=12.0), 0.6),
        (v2.RandomResizedCrop((70, 90), scale=(0.9, 1.0)), 0.3),
        (v2.ScaleJitter((HEIGHT, WIDTH)), 0.05),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, v2.Transform) else "",
)
@pytest.mark.parametrize("spot", SPOTS)
def test_dot_stays_on_its_spot(
    transform: v2.Transform, tolerance: float, spot: tuple[float, float]
) -> None:
    torch.manual_seed(3)
    points = PixelPoints(torch.tensor([spot]), canvas_size=(HEIGHT, WIDTH))
    image, moved = transform(picture_of(*spot), points)
    assert type(moved) is PixelPoints
    assert tuple(moved.canvas_size) == tuple(image.shape[-2:])
    expected = middle_of(image)
    assert moved[0].tolist() == pytest.approx(expected, abs=tolerance)


MOVES = [
    v2.Resize((48, 64)),
    v2.RandomAffine((12, 12), scale=(1.1, 1.1)),
    v2.RandomRotation((20, 20)),
    v2.RandomRotation((20, 20), expand=True),
    v2.RandomPerspective(0.2, p=1.0),
    v2.ElasticTransform(alpha=60.0, sigma=12.0),
    v2.RandomVerticalFlip(1.0),
]


@pytest.mark.parametrize("transform", MOVES, ids=lambda value: type(value).__name__)
def test_sets_of_a_batch_move_as_each_alone(transform: v2.Transform) -> None:
    places = torch.tensor([SPOTS, [(x + 3, y - 5) for x, y in SPOTS]])

    def moved(points: Tensor) -> Tensor:
        torch.manual_seed(3)
        placed: Tensor = transform(PixelPoints(points, canvas_size=(HEIGHT, WIDTH)))
        return placed.as_subclass(Tensor)

    torch.testing.assert_close(moved(places), torch.stack([moved(each) for each in places]))


@pytest.mark.parametrize("transform", MOVES[:-1], ids=lambda value: type(value).__name__)
def test_whole_numbers_move_by_parts_of_pixels(transform: v2.Transform) -> None:
    places = torch.tensor([[40, 30], [90, 60]])
    moved = []
    for points in (places, places.float()):
        torch.manual_seed(3)
        moved.append(transform(PixelPoints(points, canvas_size=(HEIGHT, WIDTH))))
    assert moved[0].tolist() == moved[1].tolist()


def test_flip_and_resize_are_exact() -> None:
    points = PixelPoints(torch.tensor([[0.0, 0.0], [10.25, 5.0]]), canvas_size=(HEIGHT, WIDTH))
    flipped = v2.functional.horizontal_flip(points)
    assert flipped.tolist() == [[WIDTH - 1, 0], [WIDTH - 1 - 10.25, 5]]
    doubled = v2.functional.resize(points, [2 * HEIGHT, 2 * WIDTH])
    assert doubled.tolist() == [[0.5, 0.5], [21.0, 10.5]]
    halved = v2.functional.resize(doubled, [HEIGHT, WIDTH])
    assert halved.tolist() == points.tolist()


def test_torchvision_still_needs_the_mend() -> None:
    plain = tv_tensors.KeyPoints(torch.tensor([[0.0, 0.0]]), canvas_size=(HEIGHT, WIDTH))
    assert v2.functional.resize(plain, [2 * HEIGHT, 2 * WIDTH]).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    "transform",
    [
        v2.Resize((48, 64)),
        v2.RandomHorizontalFlip(1.0),
        v2.RandomAffine(10),
        v2.RandomRotation((20, 20), expand=True),
        v2.RandomCrop((40, 40)),
        v2.ElasticTransform(),
        v2.RandomPerspective(p=1.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_points_and_far_points_pass(transform: v2.Transform) -> None:
    image = tv_tensors.Image(torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8))
    _, none = transform(image, PixelPoints(torch.zeros(0, 2), canvas_size=(HEIGHT, WIDTH)))
    assert none.shape == (0, 2)
    far = PixelPoints(torch.tensor([[4000.0, -700.0]]), canvas_size=(HEIGHT, WIDTH))
    _, moved = transform(image, far)
    assert moved.shape == (1, 2)
    assert moved.abs().max() > 200  # not clamped to the picture


def test_copies_keep_the_type() -> None:
    points = PixelPoints(torch.tensor([[1.0, 2.0]]), canvas_size=(HEIGHT, WIDTH))
    for copied in (
        points.clone(),
        copy.deepcopy(points),
        points.to(torch.float64),
        pickle.loads(pickle.dumps(points)),
    ):
        assert type(copied) is PixelPoints
        assert copied.canvas_size == (HEIGHT, WIDTH)
