"""A detector's run, from boxes in a file to a model that knows from which score on to count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcount.models.checkpoint import load_model
from fastcount.training.fit import fit

RUN = """
name: tiny
model: {name: centernet, backbone: mobilenetv3_small_050, width: 8, head_width: 8, classes: [spot]}
train: [{dataset: "coco:FOLDER/boxes.json", scale: [1.0, 1.0]}]
validation: 0.3
crop: [64, 64]
batch_size: 2
steps: 4
validate_every: 2
accelerator: cpu
threads: 1
output: FOLDER
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(10):
        pixels = rng.integers(0, 60, (64, 64, 3)).astype(np.uint8)
        for x, y in rng.integers(4, 52, (number % 4, 2)).tolist():
            pixels[y : y + 8, x : x + 8] = 255
            annotations.append({"image_id": number, "category_id": 1, "bbox": [x, y, 8, 8]})
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
    document = {"images": images, "annotations": annotations}
    document["categories"] = [{"id": 1, "name": "spot"}]
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    (tmp_path / "run.yaml").write_text(RUN.replace("FOLDER", str(tmp_path)))
    return tmp_path / "run.yaml"


def test_a_detector_learns_from_boxes_and_keeps_its_threshold(run: Path) -> None:
    model = load_model(fit(run))
    assert model.classes == ("spot",)
    # As little as it has learnt, it counts best by some threshold, which is not the one it had.
    assert model.card["score_threshold"] == pytest.approx(float(model.score_threshold))
    assert model.card["score_threshold"] != pytest.approx(0.3)


def test_without_validation_pictures_the_threshold_stays_as_it_was(run: Path) -> None:
    dataset = f"{{dataset: 'coco:{run.parent}/boxes.json', validate: false}}"
    model = load_model(fit(run, [f"train=[{dataset}]", "steps=1"]))
    assert "score_threshold" not in model.card
    assert float(model.score_threshold) == pytest.approx(0.3)


def test_class_names_of_the_model_are_those_of_every_data_set(run: Path) -> None:
    """The second of two YOLO sets counts its classes the other way round."""
    specs = []
    for name, names in (("one", "[spot, hole]"), ("two", "[hole, spot]")):
        folder = run.parent / name
        (folder / "images" / "train").mkdir(parents=True)
        (folder / "labels" / "train").mkdir(parents=True)
        for number in range(10):
            picture = (run.parent / f"{number}.png").read_bytes()
            (folder / "images" / "train" / f"{number}.png").write_bytes(picture)
            (folder / "labels" / "train" / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
        (folder / "data.yaml").write_text(f"names: {names}\n")
        specs.append(f"{{dataset: 'yolo:{folder}'}}")
    options = "name: centernet, backbone: mobilenetv3_small_050, width: 8, head_width: 8"
    model = f"model={{{options}, classes: [spot, hole]}}"
    with pytest.raises(ValueError, match=r"^classes: number 0 is spot in the model.*yolo:.*two \["):
        fit(run, [model, f"train=[{', '.join(specs)}]"])
    assert fit(run, [model, f"train=[{specs[0]}]", "steps=1"]).is_file()
