"""``fastcount eval`` of a detector on a data set with boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fastcount
import fastcount.metrics
from fastcount.cli.box_scores import BoxScores
from fastcount.data import open_dataset
from fastcount.models import create_model
from fastcount.models.checkpoint import save_model


@pytest.fixture
def boxed(tmp_path: Path) -> str:
    """Three pictures with 0, 1 and 2 boxes of two classes."""
    rng = np.random.default_rng(0)
    document: dict[str, Any] = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(3)],
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}],
        "annotations": [
            {"image_id": n, "category_id": 1 + place, "bbox": [10 + 20 * place, 8, 16, 16]}
            for n in range(3)
            for place in range(n)
        ],
    }
    for n in range(3):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / f"{n}.png")
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    return f"coco:{tmp_path / 'boxes.json'}"


@pytest.fixture
def detector(tmp_path: Path) -> str:
    """CenterNet with random weights that counts some of its peaks, not all."""
    torch.manual_seed(0)
    model = create_model(
        "centernet",
        backbone="mobilenetv3_small_050",
        width=8,
        head_width=8,
        classes=["red", "white"],
    ).eval()
    with torch.no_grad():
        scores = model.detect(model(torch.rand(1, 3, 64, 64)), 0.0)[0].scores
    model.set_score_threshold(float(scores.median()))
    save_model(model, tmp_path / "boxes.safetensors", card={})
    return str(tmp_path / "boxes.safetensors")


def test_ap_beside_a_count_that_it_does_not_change(
    run_json: Callable[..., tuple[int, Any]], detector: str, boxed: str
) -> None:
    pytest.importorskip("faster_coco_eval")
    code, report = run_json("eval", detector, boxed, "--json")
    assert code == 0
    counter = fastcount.load(detector)
    data = open_dataset(boxed)
    counts = [counter(data.picture(index)).count for index in range(len(data))]
    assert report["mae"] == pytest.approx(np.mean([abs(c - n) for n, c in enumerate(counts)]))
    assert 0 <= report["ap75"] <= report["ap50"] <= 1
    assert report["ap"] <= report["ap50"]


def test_weak_detections_are_ranked_but_not_counted(detector: str, boxed: str) -> None:
    pytest.importorskip("faster_coco_eval")
    data = open_dataset(boxed)
    plain = fastcount.load(detector)(data.picture(2))
    counter = fastcount.load(detector)
    scores = BoxScores(counter)
    every = counter(data.picture(2))
    assert every.count > plain.count > 0
    counted = scores.counted(every, data.annotation(2))
    assert counted.count == plain.count
    assert counted.per_class == plain.per_class
    np.testing.assert_array_equal(counted.boxes, plain.boxes)
    np.testing.assert_array_equal(counted.points, plain.points)


def test_perfect_boxes_have_an_ap_of_one(detector: str, boxed: str) -> None:
    pytest.importorskip("faster_coco_eval")
    data = open_dataset(boxed)
    scores = BoxScores(fastcount.load(detector))
    for index in range(3):
        truth = data.annotation(index)
        found = fastcount.Counting(
            truth.count,
            (64, 64),
            boxes=truth.boxes,
            scores=np.full(len(truth.boxes), 0.9, np.float32),
            labels=truth.labels,
        )
        scores.counted(found, truth)
    assert scores.result() == {"ap": 1.0, "ap50": 1.0, "ap75": 1.0}


def test_classes_in_another_order_are_refused(
    run: Callable[..., tuple[int, str, str]], detector: str, boxed: str
) -> None:
    table = Path(boxed.partition(":")[2])
    document = json.loads(table.read_text())
    document["categories"] = [{"id": 1, "name": "white"}, {"id": 2, "name": "red"}]
    table.write_text(json.dumps(document))
    code, out, err = run("eval", detector, boxed)
    assert (code, out) == (2, "")
    assert "classes: number 0 is red in the model [red, white] and white in coco:" in err


@pytest.mark.parametrize(("by_class", "ap"), [(False, 1.0), (True, 0.5)])
def test_a_model_of_one_class_finds_boxes_of_any(
    detector: str, boxed: str, by_class: bool, ap: float
) -> None:
    pytest.importorskip("faster_coco_eval")
    scores = BoxScores(fastcount.load(detector), by_class=by_class)
    for index in range(3):
        truth = open_dataset(boxed).annotation(index)
        assert truth.boxes is not None
        found = fastcount.Counting(
            truth.count,
            (64, 64),
            boxes=truth.boxes,
            scores=np.full(len(truth.boxes), 0.9, np.float32),
            labels=np.zeros(len(truth.boxes), np.int64),
        )
        scores.counted(found, truth)
    assert scores.result()["ap"] == pytest.approx(ap)  # by class, the white ones are missed


def test_no_ap_without_the_package_or_without_boxes(
    detector: str, boxed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = open_dataset(boxed)
    counter = fastcount.load(detector)

    def missing() -> None:
        raise ModuleNotFoundError("not there", name="faster_coco_eval")

    monkeypatch.setattr(fastcount.metrics, "BoxAP", missing)
    scores = BoxScores(counter)
    assert "no AP of the boxes: pip install 'fastcount[train]'" in capsys.readouterr().err
    plain = counter(data.picture(0))
    assert scores.counted(plain, data.annotation(0)) is plain
    assert scores.result() == {}
