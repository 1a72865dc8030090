"""Mask Focal Loss (Zhong et al.), tables 2 to 7: the paper's MAE and RMSE beside ours.

    python benchmarks/mask_focal_tables.py --table 7 --train SPEC --test SPEC --output DIR
        [--rows NAME...] [--seeds 0 1 2 3 4] [--backbone NAME --weights PATH --channels N]
        [--resize FACTOR --scale LOW HIGH] [--steps N --batch N --crop N --lr RATE] [--epsilon E]
        [--target-map NAME] [--ap]

Every row is trained on the same crops of the same pictures for the same number of steps; its score
threshold is chosen on a validation split of ``--train``, from which pictures that ``--test`` holds
too are dropped; what is printed was measured on ``--test`` alone, as mean and standard deviation
over the seeds. Tables 2 to 4 vary the exponents for CenterNet, 5 to 7 compare detectors, each by
its usual loss, by eq. 6 (which these tables of the paper leave out) and by eq. 7 (the paper's *).
Where the data is not the paper's, its numbers stand there to compare directions, not values.
A row and seed whose result is in ``--output`` already is neither trained nor measured again; one
whose model alone is there is measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from fastcount.cli.box_scores import BoxScores
from fastcount.cli.messages import print_table
from fastcount.data import open_dataset
from fastcount.data.base import CountingDataset
from fastcount.data.sample import Annotation
from fastcount.data.split import content_hashes, split_by_content
from fastcount.files import atomic_write
from fastcount.metrics.functional import count_error
from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.parts.box_detector import BoxDetector
from fastcount.models.parts.dense_detector import TargetMap
from fastcount.predict import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.training.config import Augment, Part
from fastcount.training.crops import Crops, collate
from fastcount.training.mixture import TrainingPictures
from fastcount.training.score_threshold import choose_score_threshold

Numbers = tuple[float, ...]
SETTINGS = (  # those that a result depends on
    *("train", "test", "backbone", "weights", "channels", "levels", "yolo", "resize", "scale"),
    *("steps", "batch", "crop", "lr", "epsilon", "target_map", "validation"),
)


@dataclass(frozen=True)
class Row:
    """One line: the model's name and loss, and the paper's MAE and RMSE, for each of its sets;
    none where the paper has no such line."""

    name: str
    model: str
    options: dict[str, Any]
    paper: Numbers


def _centernet(loss: str, gamma: float, beta: float, mae: float, rmse: float) -> Row:
    name = f"{loss}-gamma{gamma:g}-beta{beta:g}"
    return Row(name, "centernet", {"loss": loss, "gamma": gamma, "beta": beta}, (mae, rmse))


def _losses(model: str, usual: Numbers, poly: Numbers) -> list[Row]:
    paper = {"focal": usual, "mask_focal": (), POLY: poly}
    return [Row(f"{model}-{loss}", model, {"loss": loss}, paper[loss]) for loss in paper]


POLY = "mask_focal_poly"
TABLES: dict[int, list[Row]] = {
    2: [
        _centernet("focal", 2, 4, 39.42, 90.80),
        _centernet("mask_focal", 4, 0.25, 36.99, 88.34),
        _centernet("mask_focal", 4, 0.375, 37.66, 86.47),
        _centernet("mask_focal", 4, 0.5, 37.25, 85.84),
        _centernet("mask_focal", 4, 1, 38.66, 89.73),
    ],
    3: [
        _centernet(POLY, 1, 0, 45.72, 125.01),
        _centernet(POLY, 2, 0, 38.43, 92.47),
        _centernet(POLY, 3, 0, 37.65, 94.70),
        _centernet(POLY, 4, 0, 36.65, 88.87),
        _centernet(POLY, 5, 0, 36.15, 85.14),
        _centernet(POLY, 6, 0, 36.67, 84.75),
    ],
    4: [
        _centernet(POLY, 3, 0.3, 37.57, 89.95),
        _centernet(POLY, 3, 0.5, 38.92, 93.62),
        _centernet(POLY, 4, 0.3, 36.79, 87.84),
        _centernet(POLY, 4, 0.5, 35.83, 83.75),
        _centernet(POLY, 4, 0.75, 36.54, 88.74),
        _centernet(POLY, 4, 1, 37.61, 88.32),
        _centernet(POLY, 5, 0.3, 36.82, 86.24),
        _centernet(POLY, 5, 0.5, 36.77, 87.08),
        _centernet(POLY, 5, 1, 36.26, 85.21),
    ],
    5: [  # SCUT-HEAD A: MAE, RMSE, then B
        *_losses("centernet", (1.92, 2.94, 2.23, 4.56), (1.26, 1.96, 1.78, 3.63)),
        *_losses("fcos", (2.26, 3.38, 2.33, 5.23), (2.09, 3.05, 2.29, 5.19)),
        *_losses("foveabox", (1.92, 2.89, 2.52, 4.80), (1.84, 2.80, 2.23, 4.61)),
        *_losses("retinanet", (2.35, 3.40, 4.04, 8.45), (1.90, 2.71, 2.13, 3.21)),
        *_losses("yolov5", (2.84, 4.04, 2.52, 5.20), (2.41, 3.53, 2.27, 4.97)),
        Row("faster_rcnn", "faster_rcnn", {}, (2.89, 4.14, 2.96, 4.90)),
    ],
    6: [
        *_losses("centernet", (8.11, 10.12), (6.96, 8.72)),
        *_losses("fcos", (6.87, 8.50), (6.32, 8.00)),
        *_losses("foveabox", (7.71, 9.77), (7.46, 9.40)),
        *_losses("retinanet", (7.13, 9.17), (6.26, 8.24)),
        *_losses("yolov5", (5.62, 7.10), (5.07, 6.40)),
        Row("faster_rcnn", "faster_rcnn", {}, (8.88, 11.12)),
    ],
    7: [
        *_losses("centernet", (39.42, 90.80), (35.83, 83.75)),
        *_losses("fcos", (40.15, 79.11), (38.92, 75.50)),
        *_losses("foveabox", (34.69, 64.40), (32.40, 59.66)),
        *_losses("retinanet", (48.60, 106.58), (44.63, 92.61)),
        *_losses("yolov5", (67.17, 177.58), (64.20, 165.78)),
    ],
}


class Resized(CountingDataset):
    """``dataset`` with pictures and boxes ``factor`` times as large, kept once they are decoded."""

    name = "resized"

    def __init__(self, dataset: CountingDataset, factor: float) -> None:
        self.dataset, self.factor = dataset, factor
        self.ids, self.classes = dataset.ids, dataset.classes
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def path(self, index: int) -> Path:
        return self.dataset.path(index)

    def picture(self, index: int) -> NDArray[np.uint8]:
        if index not in self._kept:
            pixels = self.dataset.picture(index)
            if self.factor != 1:
                size = [max(1, round(side * self.factor)) for side in pixels.shape[1::-1]]
                image = Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BOX)
                pixels = np.array(image)
            self._kept[index] = pixels
        return self._kept[index]

    def annotation(self, index: int) -> Annotation:
        truth = self.dataset.annotation(index)
        if truth.boxes is None or truth.labels is None:
            raise SystemExit(f"{self.ids[index]}: has no boxes; make them: fastcount boxes")
        return Annotation.of_boxes(truth.boxes * self.factor, truth.labels)


def train(model: BoxDetector, crops: Crops, arguments: argparse.Namespace) -> None:
    """AdamW (backbone at a tenth of the rate), 5 % rise and half a cosine, clipped gradients."""
    device = torch.device(arguments.device)
    model.to(device, memory_format=torch.channels_last).train()
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            pretrained = arguments.weights is not None and "backbone" in name.split(".")
            groups[pretrained].append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": groups[False]}, {"params": groups[True], "lr": arguments.lr / 10}],
        lr=arguments.lr,
        weight_decay=1e-4,
    )
    rise = max(1, arguments.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / rise)
            * (0.01 + 0.495 * (1 + math.cos(math.pi * min(1.0, step / arguments.steps))))
        ),
    )
    begin = time.monotonic()
    for step in range(arguments.steps):
        first = step * arguments.batch
        ((images, targets),) = collate([crops[first + place] for place in range(arguments.batch)])
        losses = model.loss(model(images.to(device)), targets)
        optimizer.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            spent = time.monotonic() - begin
            print(f"  {step}: {losses['loss'].item():.4f}, {spent:.0f} s", file=sys.stderr)
    model.eval()


def pictures(dataset: CountingDataset, indices: list[int]) -> Iterator[tuple[Any, float]]:
    for index in indices:
        yield dataset.picture(index), dataset.annotation(index).count


def measure(model: BoxDetector, dataset: CountingDataset, arguments: argparse.Namespace) -> Any:
    """MAE and RMSE of the counts, and COCO's AP where asked for, over all of ``dataset``."""
    counter = Counter(TorchEngine(model, arguments.device))
    boxes = BoxScores(counter) if arguments.ap else None
    predicted, true = [], []
    classes = len(dataset.classes)
    class_errors = torch.zeros(classes, dtype=torch.float64)
    for index in range(len(dataset)):
        counting, truth = counter(dataset.picture(index)), dataset.annotation(index)
        if boxes is not None:
            counting = boxes.counted(counting, truth)
        predicted.append(counting.count)
        true.append(truth.count)
        found, wanted = (
            torch.bincount(torch.as_tensor(each.labels), minlength=classes)
            for each in (counting, truth)
        )
        class_errors += (found - wanted).abs()
    errors = count_error(torch.tensor(predicted).double(), torch.tensor(true).double())
    result: dict[str, Any] = {key: float(errors[key]) for key in ("mae", "rmse", "bias")}
    result["n"] = len(true)
    by_class = (class_errors / len(true)).tolist()
    result["class_mae"] = dict(zip(dataset.classes, by_class, strict=True))
    return result | (boxes.result() if boxes is not None else {})


def run(row: Row, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures one row with one seed, or reads what was measured before."""
    name = f"{row.name}-seed{seed}"
    done = arguments.output / f"{name}.json"
    result: dict[str, Any]
    settings = {key: getattr(arguments, key) for key in SETTINGS}
    for key, value in settings.items():
        if isinstance(value, str):  # where a file lies changes nothing
            settings[key] = value.rpartition("/")[2]
    settings = json.loads(json.dumps(settings))
    if done.exists():
        result = json.loads(done.read_text())
        if result["settings"] != settings:
            raise SystemExit(f"{done}: of a run with other settings; choose another --output")
        return result
    print(name, file=sys.stderr)
    source = open_dataset(arguments.train)
    dataset = Resized(source, arguments.resize)
    hashes = content_hashes(source)
    held_out = set(content_hashes(open_dataset(arguments.test)))
    indices, validation = (
        [index for index in side if hashes[index] not in held_out]
        for side in split_by_content(source, arguments.validation, 0, hashes=hashes)
    )
    torch.manual_seed(seed)
    options: dict[str, Any] = {**row.options, "classes": list(dataset.classes)}
    options["epsilon"] = arguments.epsilon
    if row.model != "centernet":
        options["target_map"] = arguments.target_map
    if row.model == "yolov5":
        options["size"] = arguments.yolo
    else:
        options |= {"backbone": arguments.backbone or _usual(row), "weights": arguments.weights}
        if arguments.channels is not None:
            width = ("width", "head_width") if row.model == "centernet" else ("channels",)
            options |= dict.fromkeys(width, arguments.channels)
        if arguments.levels is not None and row.model != "centernet":
            options["levels"] = arguments.levels
    file = arguments.output / f"{name}.safetensors"
    card = {"seed": seed, **settings}
    if file.exists():  # trained before, and to be measured again
        model = load_model(file)
        if any(card.get(key) != value for key, value in model.card.items()):
            raise SystemExit(f"{file}: of a run with other settings; choose another --output")
        assert isinstance(model, BoxDetector)
    else:
        model = create_model(row.model, **options)
        assert isinstance(model, BoxDetector)
        part = Part(arguments.train, scale=arguments.scale)
        side = arguments.crop  # crop n of a seed is the same for every row
        kept = TrainingPictures(dataset, indices, part, None)
        train(model, Crops([kept], (side, side), Augment(grey=0.0), seed), arguments)
    threshold, error = choose_score_threshold(
        model, pictures(dataset, validation), device=arguments.device
    )
    save_model(model, file, card=card)
    result = measure(model, Resized(open_dataset(arguments.test), arguments.resize), arguments)
    result |= {"threshold": threshold, "validation_mae": error, "settings": settings}
    with atomic_write(done, "w") as file:
        json.dump(result, file)
    return result


def _usual(row: Row) -> str:
    return "dla34" if row.model == "centernet" else "resnet50"


def main(arguments_given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", type=int, choices=sorted(TABLES), required=True)
    parser.add_argument("--train", required=True, help="NAME:PATH?option=value&..., with boxes")
    parser.add_argument("--test", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", nargs="*", help="names of rows; all by default")
    parser.add_argument("--backbone", help="instead of the paper's")
    parser.add_argument("--weights", help="of the backbone; at random by default")
    parser.add_argument("--channels", type=int, help="of pyramids and heads; by 32s")
    parser.add_argument("--levels", type=int, nargs="*", help="of pyramids")
    parser.add_argument("--yolo", default="x", choices=list("nsmlx"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--resize", type=float, default=1.0, help="all pictures, by this factor")
    parser.add_argument("--scale", type=float, nargs=2, default=(0.7, 1.4), help="of crops, random")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--epsilon", type=float, default=6.0, help="of eq. 10; the paper's is 6")
    parser.add_argument(
        "--target-map", default="binary", choices=get_args(TargetMap), help="of all but CenterNet"
    )
    parser.add_argument("--validation", type=float, default=0.1, help="share of --train")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ap", action="store_true", help="also COCO's AP")
    arguments = parser.parse_args(arguments_given)
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = TABLES[arguments.table]
    unknown = set(arguments.rows or ()) - {row.name for row in rows}
    if unknown:
        parser.error(f"--rows: {sorted(unknown)} are none of {[row.name for row in rows]}")
    table = Table(
        "row", "paper MAE", "paper RMSE", "MAE", "RMSE", *(["AP"] if arguments.ap else [])
    )
    for row in rows:
        if arguments.rows and row.name not in arguments.rows:
            continue
        results = [run(row, seed, arguments) for seed in arguments.seeds]
        paper = [
            " / ".join(f"{value:g}" for value in row.paper[place::2]) or "-" for place in (0, 1)
        ]
        keys = ["mae", "rmse", *(["ap"] if arguments.ap else [])]
        table.add_row(row.name, *paper, *(_spread([one[key] for one in results]) for key in keys))
    print_table(table)


def _spread(values: list[float]) -> str:
    spread = f" ± {torch.tensor(values).std():.2f}" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.2f}{spread}"


if __name__ == "__main__":
    main()
