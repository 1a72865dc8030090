from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mirrors import mirrored
from PIL import Image

from fastcount.data import open_dataset
from fastcount.data.base import CountingDataset
from fastcount.data.sample import Annotation
from fastcount.models.neighbour_sigma import NeighbourSigma
from fastcount.training.config import Augment, Part
from fastcount.training.crops import Crops, CropSampler, collate
from fastcount.training.mixture import TrainingPictures

PLAIN = Augment(flip=False, brightness=0.0, contrast=0.0, grey=0.0)
# What moves the crop, and a size that allows it.
MOVES = [
    (PLAIN, (64, 96)),
    (Augment(flip=True, vertical_flip=True), (64, 96)),
    (Augment(flip=True, vertical_flip=True, transpose=True), (96, 96)),
]


class Spots(CountingDataset):
    """One picture with white 5x5 spots on black, some of the points outside of it."""

    name = "spots"
    ids = ("spots",)

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        grid = np.stack(np.meshgrid(np.arange(6), np.arange(5)), -1).reshape(-1, 2)
        self.points = (grid * 24 + 12 + rng.integers(-4, 5, grid.shape)).astype(np.float32)
        self.pixels = np.zeros((120, 144, 3), np.uint8)
        for x, y in self.points.astype(int):
            self.pixels[y - 2 : y + 3, x - 2 : x + 3] = 255

    def path(self, index: int):
        raise FileNotFoundError("not stored")

    def picture(self, index: int):
        return self.pixels

    def annotation(self, index: int) -> Annotation:
        outside = np.array([[-30, 4], [500, 500]], np.float32)
        return Annotation.of_points(np.concatenate([self.points, outside]))


def crops(
    augment: Augment = PLAIN, scale=(0.5, 1.5), size=(64, 96), seed=0, sigma=None, **more
) -> Crops:
    part = Part("spots", scale=scale)
    return Crops([TrainingPictures(Spots(), [0], part, sigma)], size, augment, seed, **more)


class BoxedSpots(Spots):
    """The same spots with their boxes, and an ignored region."""

    def annotation(self, index: int) -> Annotation:
        middles = self.points.astype(int)
        boxes = np.concatenate([middles - 2, middles + 3], axis=1)
        labels = np.zeros(len(boxes), np.int64)
        region = np.array([[0, 0, 40, 40]])
        return Annotation.of_boxes(np.concatenate([boxes, region]), np.append(labels, -1))


@pytest.mark.parametrize(("augment", "size"), MOVES)
def test_boxes_stay_around_what_they_hold(augment: Augment, size: tuple[int, int]) -> None:
    height, width = size
    part = Part("spots", scale=(1.0, 2.0))
    source = Crops([TrainingPictures(BoxedSpots(), [0], part, None)], size, augment, 0)
    seen = ignored = 0
    for n in range(40):
        image, target = source[n]
        assert len(target["boxes"]) == len(target["labels"])
        ignored += int((target["labels"] < 0).sum())
        for box in target["boxes"][target["labels"] == 0].round().int():
            x1, y1, x2, y2 = box.tolist()
            if x1 >= 2 and y1 >= 2 and x2 <= width - 2 and y2 <= height - 2:
                inside = image[0, y1:y2, x1:x2]
                around = image[0, y1 - 2 : y2 + 2, x1 - 2 : x2 + 2]
                assert inside.mean() > 0.7 * image.max()
                assert around.sum() < 1.5 * inside.sum()
                seen += 1
    assert seen > 100
    assert 0 < ignored < 40, "a region far from the crop is no part of it"


@pytest.mark.parametrize(("augment", "size"), MOVES)
def test_points_stay_on_what_they_mark(augment: Augment, size: tuple[int, int]) -> None:
    height, width = size
    seen = 0
    source = crops(augment, size=size)
    for n in range(40):
        image, target = source[n]
        brightness = image.mean(0)
        for x, y in target["points"].tolist():
            # the spot is at least 2 pixels wide at the smallest scale; stay off the cut edges
            if 2 <= x <= width - 3 and 2 <= y <= height - 3:
                assert brightness[round(y), round(x)] > 0.5 * brightness.max()
                seen += 1
        assert target["count"] == len(target["points"])
        inside = target["points"]
        assert ((inside >= -0.5) & (inside < torch.tensor([width - 0.5, height - 0.5]))).all()
    assert seen > 100


def test_only_square_crops_are_transposed() -> None:
    with pytest.raises(ValueError, match="square"):
        crops(Augment(transpose=True), size=(64, 96))
    moved = [crops(replace(PLAIN, transpose=True), size=(64, 64))[n][0] for n in range(8)]
    still = [crops(size=(64, 64))[n][0] for n in range(8)]
    assert 0 < sum(torch.equal(a, b) for a, b in zip(moved, still, strict=True)) < 8


@pytest.mark.parametrize(("change", "axis"), [("flip", -1), ("vertical_flip", -2)])
def test_half_of_the_crops_are_mirrored(change: str, axis: int) -> None:
    moved, still = crops(replace(PLAIN, **{change: True})), crops()
    assert 10 <= mirrored(moved, still, axis) <= 30


def test_colours_change_as_often_as_asked() -> None:
    cells = open_dataset("synthetic:?kind=cells&count=20&pictures=2&size=64")

    def share(augment: Augment) -> float:
        part = TrainingPictures(cells, [0, 1], Part("cells"), None)
        source = Crops([part], (32, 32), augment, seed=0)
        return sum(
            torch.equal(image[0], image[2]) for image, _ in map(source.__getitem__, range(60))
        )

    assert share(PLAIN) == 0
    assert 20 <= share(replace(PLAIN, grey=0.5)) <= 40
    spots = [crops(replace(PLAIN, brightness=0.5))[n][0].max() for n in range(10)]
    assert len({round(float(value), 3) for value in spots}) > 3


def test_scale_one_crop_is_exact() -> None:
    image, target = crops(scale=(1.0, 1.0))[3]
    # the centre of mass of the spots around each point is the point itself
    for x, y in target["points"].tolist():
        if 4 <= x < 91 and 4 <= y < 59:
            window = image[0, round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
            assert window.min() == 1.0


def test_crop_depends_on_seed_and_number_alone() -> None:
    augment = Augment()
    one, other = crops(augment), crops(augment)
    torch.manual_seed(5)
    forward = [one[n] for n in range(6)]
    before = torch.rand(1)
    backward = [other[n] for n in reversed(range(6))][::-1]
    for (a, s), (b, t) in zip(forward, backward, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(s["points"], t["points"])
    torch.manual_seed(5)
    _ = [one[n] for n in range(6)]
    assert torch.equal(before, torch.rand(1)), "drawing a crop moved the global generator"
    assert not torch.equal(crops(augment, seed=1)[0][0], forward[0][0])


def test_windows_larger_than_the_picture_are_filled_outside() -> None:
    fill = (10, 200, 30)
    image, target = crops(scale=(0.3, 0.3), size=(96, 96), fill=fill)[0]
    assert len(target["points"]) == 30
    filled = (image - torch.tensor(fill).view(3, 1, 1) / 255).abs().max(0).values < 1e-3
    assert filled.float().mean() > 0.3


def test_sigma_follows_the_neighbours_and_the_scale() -> None:
    sigma = NeighbourSigma(k=3, beta=0.5, low=1.0, high=100.0)
    small = crops(scale=(0.5, 0.5), sigma=sigma, size=(60, 72))[0][1]["sigma"]
    large = crops(scale=(1.0, 1.0), sigma=sigma, size=(120, 144))[0][1]["sigma"]
    assert torch.allclose(small, large * 0.5, rtol=1e-4)
    assert torch.allclose(large, sigma.of(torch.from_numpy(Spots().points)))


def test_processes_share_the_crops_without_overlap() -> None:
    for done in (0, 3):
        alone = list(CropSampler(3, 4, done=lambda done=done: done))
        assert alone == list(range(done * 4, done * 4 + 12))
        halves = [
            list(CropSampler(3, 2, done=lambda done=done: done, rank=r, world=2)) for r in range(2)
        ]
        for step in range(3):
            together = halves[0][2 * step : 2 * step + 2] + halves[1][2 * step : 2 * step + 2]
            assert together == alone[4 * step : 4 * step + 4]


def test_mixture_follows_the_weights() -> None:
    cells = open_dataset("synthetic:?kind=cells&count=20&pictures=2&size=64")
    parts = [
        TrainingPictures(Spots(), [0], Part("spots", weight=1.0), None),
        TrainingPictures(cells, [0, 1], Part("cells", weight=4.0), None),
    ]
    source = Crops(parts, (32, 32), PLAIN, seed=0)
    # spots are grey, cells are blue
    grey = sum(bool(torch.equal(source[n][0][0], source[n][0][2])) for n in range(200))
    assert 20 <= grey <= 60


def test_collate_makes_channels_last_batches() -> None:
    source = crops()
    ((images, targets),) = collate([source[0], source[1]])
    assert images.shape == (2, 3, 64, 96)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert len(targets) == 2


def test_a_count_without_points_cannot_be_cropped(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    (tmp_path / "counts.csv").write_text("path,count\na.png,3\n")
    spec = f"csv:{tmp_path / 'counts.csv'}"
    pictures = TrainingPictures(open_dataset(spec), [0], Part(spec), None)
    with pytest.raises(ValueError, match=r"counts\.csv: a\.png has a count but no points"):
        pictures[0]
