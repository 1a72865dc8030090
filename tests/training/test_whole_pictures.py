from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mirrors import mirrored

from fastcount.data.base import CountingDataset
from fastcount.data.sample import Annotation
from fastcount.runtime.tiling import Tiling
from fastcount.training.config import Augment, Part
from fastcount.training.crops import collate
from fastcount.training.mixture import TrainingPictures
from fastcount.training.whole_pictures import WholePictures

PLAIN = Augment(flip=False, brightness=0.0, contrast=0.0, grey=0.0)
TURNED = Augment(vertical_flip=True, rotation=180.0, brightness=0.0, contrast=0.0, grey=0.0)
SQUARE = Tiling(mode="resize", tile=(160, 160), margin=0, align=160, fill=(0, 0, 90), turn=True)
PAPER = Tiling(mode="resize", tile=(100, 200), margin=0, align=1, fill=(0, 0, 90), turn=True)


class Dots(CountingDataset):
    """A landscape and a portrait with white 7x7 dots on black; the third has only a count."""

    name = "dots"
    ids = ("wide", "tall", "counted")

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        grid = np.stack(np.meshgrid(np.arange(4), np.arange(3)), -1).reshape(-1, 2)
        wide = (grid * 40 + 22 + rng.integers(-5, 6, grid.shape)).astype(np.float32)
        self.points = [wide, wide[:, ::-1].copy(), wide]
        self.pixels = []
        for points, size in zip(self.points, ((120, 160), (160, 120), (120, 160)), strict=True):
            pixels = np.zeros((*size, 3), np.uint8)
            for x, y in points.astype(int):
                pixels[y - 3 : y + 4, x - 3 : x + 4] = 255
            self.pixels.append(pixels)

    def path(self, index: int) -> Path:
        raise FileNotFoundError("not stored")

    def picture(self, index: int):
        return self.pixels[index]

    def annotation(self, index: int) -> Annotation:
        if index == 2:
            return Annotation(count=9.0)
        found = Annotation.of_points(self.points[index])
        return Annotation(found.count, found.points, labels=found.points[:, 0].astype(np.int64))


def pictures(
    tiling: Tiling, augment: Augment, scale=(0.9, 1.1), indices=(0, 1), seed=0
) -> WholePictures:
    part = Part("dots", scale=scale)
    return WholePictures(
        [TrainingPictures(Dots(), list(indices), part, None)], tiling, augment, seed
    )


@pytest.mark.parametrize("augment", [PLAIN, TURNED])
@pytest.mark.parametrize("tiling", [SQUARE, PAPER])
def test_points_stay_on_what_they_mark(tiling: Tiling, augment: Augment) -> None:
    source = pictures(tiling, augment)
    seen = 0
    for n in range(24):
        image, target = source[n]
        height, width = image.shape[-2:]
        assert target["count"] == len(target["points"]) == len(target["labels"]) <= 12
        for x, y in target["points"].tolist():
            if 3 <= x < width - 3 and 3 <= y < height - 3:
                assert image[0, round(y), round(x)] > 0.6
                seen += 1
    assert seen > 180


def test_unchanged_it_is_the_picture_as_it_is_counted() -> None:
    image, target = pictures(PAPER, PLAIN, (1.0, 1.0), [1])[0]
    assert image.shape == (3, 133, 100)
    assert target["count"] == 12
    before = ((target["points"][:, 0] + 0.5) * 1.2 - 0.5).round().long()
    assert torch.equal(before, target["labels"])  # each label is its point's x in the picture
    image, target = pictures(SQUARE, PLAIN, (1.0, 1.0), [0])[0]
    assert image.shape == (3, 160, 160)
    filled = (image[2] - 90 / 255).abs() < 1e-3
    assert filled.all(dim=1).sum() == 40  # a picture of 120 x 160 in the square


@pytest.mark.parametrize(("change", "axis"), [("flip", -1), ("vertical_flip", -2)])
def test_half_of_the_pictures_are_mirrored(change: str, axis: int) -> None:
    moved = pictures(PAPER, replace(PLAIN, **{change: True}), (1.0, 1.0))
    still = pictures(PAPER, PLAIN, (1.0, 1.0))
    assert 10 <= mirrored(moved, still, axis) <= 30


def test_pictures_are_turned_as_far_as_asked_and_no_farther() -> None:
    """By the angle between the first and the last dot of a row, from picture to picture."""
    angles = []
    source = pictures(SQUARE, replace(PLAIN, rotation=25.0), (0.8, 0.8), [0])
    still = pictures(SQUARE, PLAIN, (0.8, 0.8), [0])[0][1]["points"]
    level = torch.atan2(*(still[-1] - still[0]).flip(0))
    for n in range(60):
        points = source[n][1]["points"]
        assert len(points) == 12
        angles.append(float(torch.rad2deg(torch.atan2(*(points[-1] - points[0]).flip(0)) - level)))
    assert -25.1 <= min(angles) < -12
    assert 12 < max(angles) <= 25.1


def test_square_canvases_whatever_the_scale_and_angle() -> None:
    source = pictures(SQUARE, TURNED, (0.5, 2.0), (0, 1, 2))
    for n in range(12):
        image, target = source[n]
        assert image.shape == (3, 160, 160)
        assert ("points" in target) or target["count"] == 9.0
        assert 0 <= image.min() <= image.max() <= 1


def test_a_picture_depends_on_seed_and_number_alone() -> None:
    augment = Augment(vertical_flip=True, rotation=30.0)
    one, other = pictures(SQUARE, augment), pictures(SQUARE, augment)
    torch.manual_seed(5)
    forward = [one[n] for n in range(6)]
    before = torch.rand(1)
    backward = [other[n] for n in reversed(range(6))][::-1]
    for (a, s), (b, t) in zip(forward, backward, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(s["points"], t["points"])
    torch.manual_seed(5)
    _ = [one[n] for n in range(6)]
    assert torch.equal(before, torch.rand(1)), "drawing a picture moved the global generator"
    assert not torch.equal(pictures(SQUARE, augment, seed=1)[0][0], forward[0][0])


def test_pictures_of_one_size_go_together() -> None:
    source = pictures(PAPER, PLAIN, (1.0, 1.0))
    drawn = [source[n] for n in range(8)]
    groups = collate(drawn)
    assert {tuple(images.shape[1:]) for images, _ in groups} == {(3, 133, 100), (3, 100, 133)}
    assert len(groups) == 2
    for images, targets in groups:
        assert images.is_contiguous(memory_format=torch.channels_last)
        same = [pair for pair in drawn if pair[0].shape == images.shape[1:]]
        assert torch.equal(images, torch.stack([image for image, _ in same]))
        assert [target["count"] for target in targets] == [target["count"] for _, target in same]


def test_every_picture_weighs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastcount.models import create_model
    from fastcount.training.config import Config
    from fastcount.training.module import CountingModule

    source = pictures(PAPER, PLAIN, (1.0, 1.0))
    drawn = [source[n] for n in range(8)]
    assert sorted(len(targets) for _, targets in collate(drawn)) not in ([4, 4], [8])
    model = create_model(
        "leaf_regression", backbone="mobilenetv3_small_100", size=(100, 133)
    ).eval()
    config = Config("any", {}, ())
    trainer = SimpleNamespace(world_size=1, global_rank=0, global_step=0)
    monkeypatch.setattr(CountingModule, "trainer", trainer)
    monkeypatch.setattr(CountingModule, "global_step", 0)
    monkeypatch.setattr(CountingModule, "log_dict", lambda *_, **__: None)
    module = CountingModule(model, config, [])
    with torch.no_grad():
        alone = [module.training_step(collate([pair]), 0) for pair in drawn]
        together = module.training_step(collate(drawn), 0)
    torch.testing.assert_close(together, torch.stack(alone).mean())


RUN = """
name: leaves
model: {name: MODEL, backbone: mobilenetv3_small_100, channels: 8, size: [64, 64]}
train:
  - dataset: "synthetic:?kind=cells&count=12&pictures=12&size=64"
    scale: [0.9, 1.1]
validation: 0.3
augment: {rotation: 20}
batch_size: 2
steps: 2
validate_every: 1
calibrate: true
accelerator: cpu
threads: 1
output: OUTPUT
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["leaf_msr", "leaf_detection"])
def test_a_run_from_its_file_to_a_count(name: str, tmp_path: Path) -> None:
    # imported here: the tests above need no Lightning
    from fastcount.models.checkpoint import load_model
    from fastcount.predict import load_with_torch
    from fastcount.training.fit import fit

    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("MODEL", name).replace("OUTPUT", str(tmp_path)))
    written = fit(config)
    card = load_model(written).card
    assert card["calibration"] > 0
    assert card["seconds"] >= 0
    assert ("std_calibration" in card) == (name == "leaf_msr")
    counting = load_with_torch(written, "cpu")(np.zeros((50, 80, 3), np.uint8))
    assert counting.size == (50, 80)
    assert (counting.std is not None) == (name == "leaf_msr")
