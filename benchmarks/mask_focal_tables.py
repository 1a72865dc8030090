"""Mask Focal Loss (Zhong et al.), tables 2 to 7: the paper's MAE and RMSE beside ours.

    python benchmarks/mask_focal_tables.py --table 7 --train SPEC --test SPEC --output DIR
        [--backbone NAME --weights PATH --channels N --yolo SIZE] [--rows NAME...]
        [--seeds 0 1 2 3 4] [--steps N --batch N --crop N --lr RATE] [--ap]

Every row is trained on the same crops of the same pictures for the same number of steps; its score
threshold is chosen on a validation split of ``--train``; what is printed was measured on
``--test`` alone, as mean and standard deviation over the seeds. Tables 2 to 4 vary the exponents
for CenterNet, 5 to 7 compare detectors, each with its usual loss and (*) with mask focal loss.
Where the data is not the paper's, its numbers stand there to compare directions, not values.
A row and seed whose result is in ``--output`` already is not trained again.
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
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.transforms import v2

from fastcount.data import open_dataset
from fastcount.data.base import CountingDataset
from fastcount.data.split import split_by_content
from fastcount.data.transforms import KeepInside
from fastcount.files import atomic_write
from fastcount.metrics.functional import count_error
from fastcount.models import Target, create_model
from fastcount.models.checkpoint import save_model
from fastcount.models.parts.box_detector import BoxDetector
from fastcount.predict import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.training.score_threshold import choose_score_threshold

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One line: the model's name and loss, and the paper's MAE and RMSE, for each of its sets."""

    name: str
    model: str
    options: dict[str, Any]
    paper: Numbers


def _centernet(loss: str, gamma: float, beta: float, mae: float, rmse: float) -> Row:
    name = f"{loss}-gamma{gamma:g}-beta{beta:g}"
    return Row(name, "centernet", {"loss": loss, "gamma": gamma, "beta": beta}, (mae, rmse))


def _pair(model: str, usual: Numbers, mask: Numbers) -> list[Row]:
    return [
        Row(model, model, {"loss": "focal"}, usual),
        Row(f"{model}*", model, {"loss": "mask_focal_poly"}, mask),
    ]


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
        *_pair("centernet", (1.92, 2.94, 2.23, 4.56), (1.26, 1.96, 1.78, 3.63)),
        *_pair("fcos", (2.26, 3.38, 2.33, 5.23), (2.09, 3.05, 2.29, 5.19)),
        *_pair("foveabox", (1.92, 2.89, 2.52, 4.80), (1.84, 2.80, 2.23, 4.61)),
        *_pair("retinanet", (2.35, 3.40, 4.04, 8.45), (1.90, 2.71, 2.13, 3.21)),
        *_pair("yolov5", (2.84, 4.04, 2.52, 5.20), (2.41, 3.53, 2.27, 4.97)),
        # the copy of the paper at hand has its RMSE on part A illegible
        Row("faster_rcnn", "faster_rcnn", {}, (2.89, math.nan, 2.96, 4.90)),
    ],
    6: [
        *_pair("centernet", (8.11, 10.12), (6.96, 8.72)),
        *_pair("fcos", (6.87, 8.50), (6.32, 8.00)),
        *_pair("foveabox", (7.71, 9.77), (7.46, 9.40)),
        *_pair("retinanet", (7.13, 9.17), (6.26, 8.24)),
        *_pair("yolov5", (5.62, 7.10), (5.07, 6.40)),
        Row("faster_rcnn", "faster_rcnn", {}, (8.88, 11.12)),
    ],
    7: [
        *_pair("centernet", (39.42, 90.80), (35.83, 83.75)),
        *_pair("fcos", (40.15, 79.11), (38.92, 75.50)),
        *_pair("foveabox", (34.69, 64.40), (32.40, 59.66)),
        *_pair("retinanet", (48.60, 106.58), (44.63, 92.61)),
        *_pair("yolov5", (67.17, 177.58), (64.20, 165.78)),
    ],
}


class Crops:
    """Random crops with their boxes, the same for every row of a seed."""

    def __init__(self, dataset: CountingDataset, indices: list[int], size: int) -> None:
        self.dataset, self.indices = dataset, indices
        self.size = size
        self._kept: dict[int, Any] = {}
        self.change = v2.Compose(
            [
                v2.RandomCrop(size, pad_if_needed=True, fill=128),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(0.2, 0.2),
                KeepInside(),
            ]
        )

    def batch(self, number: int) -> tuple[Tensor, list[Target]]:
        images, targets = [], []
        for _ in range(number):
            index = self.indices[int(torch.randint(len(self.indices), ()))]
            if index not in self._kept:
                sample = self.dataset[index]
                if "boxes" not in sample:
                    raise SystemExit(f"{sample['id']}: has no boxes; make them: fastcount boxes")
                self._kept[index] = sample
            sample = self._kept[index]
            scale = math.exp(float(torch.empty(()).uniform_(math.log(0.7), math.log(1.4))))
            height, width = (max(1, round(side * scale)) for side in sample["image"].shape[-2:])
            crop = self.change(v2.Resize((height, width), antialias=True)(dict(sample)))
            images.append(crop["image"].as_subclass(Tensor).float() / 255)
            targets.append(
                Target(
                    count=crop["count"],
                    boxes=crop["boxes"].as_subclass(Tensor),
                    labels=crop["labels"],
                )
            )
        return torch.stack(images), targets


def train(model: BoxDetector, crops: Crops, arguments: argparse.Namespace) -> None:
    """AdamW (backbone at a tenth of the rate), 5 % rise and half a cosine, clipped gradients."""
    device = torch.device(arguments.device)
    model.to(device).train()
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name.startswith("backbone.") and arguments.weights is not None].append(parameter)
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
        images, targets = crops.batch(arguments.batch)
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
    predicted, true, ap = [], [], None
    if arguments.ap:
        from torchmetrics.detection import MeanAveragePrecision

        # its usual limit of 100 detections would cut a crowd short
        ap = MeanAveragePrecision(max_detection_thresholds=[1, 100, 100_000])
        ap.warn_on_many_detections = False
    for index in range(len(dataset)):
        counting, truth = counter(dataset.picture(index)), dataset.annotation(index)
        predicted.append(counting.count)
        true.append(truth.count)
        if ap is not None:
            found = {"boxes": counting.boxes, "scores": counting.scores, "labels": counting.labels}
            wanted = {"boxes": truth.boxes, "labels": truth.labels}
            ap.update(*([{k: torch.as_tensor(v) for k, v in d.items()}] for d in (found, wanted)))
    errors = count_error(torch.tensor(predicted).double(), torch.tensor(true).double())
    result = {"mae": float(errors["mae"]), "rmse": float(errors["rmse"]), "n": len(true)}
    if ap is not None:
        scores = ap.compute()
        result |= {"ap": float(scores["map"]), "ap50": float(scores["map_50"])}
    return result


def run(row: Row, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Trains and measures one row with one seed, or reads what was measured before."""
    name = f"{row.name.replace('*', '-mask')}-seed{seed}"
    done = arguments.output / f"{name}.json"
    if done.exists():
        result: dict[str, float] = json.loads(done.read_text())
        return result
    print(name, file=sys.stderr)
    dataset = open_dataset(arguments.train)
    indices, validation = split_by_content(dataset, arguments.validation, 0)
    torch.manual_seed(seed)
    options: dict[str, Any] = {**row.options, "classes": list(dataset.classes)}
    if row.model == "yolov5":
        options["size"] = arguments.yolo
    else:
        options |= {"backbone": arguments.backbone or _usual(row), "weights": arguments.weights}
        if arguments.channels is not None:
            width = ("width", "head_width") if row.model == "centernet" else ("channels",)
            options |= dict.fromkeys(width, arguments.channels)
        if arguments.levels is not None and row.model != "centernet":
            options["levels"] = arguments.levels
    model = create_model(row.model, **options)
    assert isinstance(model, BoxDetector)
    torch.manual_seed(seed)  # so that every row of a seed sees the same crops
    train(model, Crops(dataset, indices, arguments.crop), arguments)
    threshold, error = choose_score_threshold(
        model, pictures(dataset, validation), device=arguments.device
    )
    save_model(
        model,
        arguments.output / f"{name}.safetensors",
        card={"train": arguments.train.rpartition("/")[2], "seed": seed, "steps": arguments.steps},
    )
    result = measure(model, open_dataset(arguments.test), arguments)
    result |= {"threshold": threshold, "validation_mae": error}
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
    parser.add_argument("--channels", type=int, help="of pyramids and heads")
    parser.add_argument("--levels", type=int, nargs="*", help="of pyramids")
    parser.add_argument("--yolo", default="x", choices=list("nsmlx"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--validation", type=float, default=0.1, help="share of --train")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ap", action="store_true", help="also COCO's AP (needs pycocotools)")
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
        paper = [" / ".join(f"{value:g}" for value in row.paper[place::2]) for place in (0, 1)]
        keys = ["mae", "rmse", *(["ap"] if arguments.ap else [])]
        table.add_row(row.name, *paper, *(_spread([one[key] for one in results]) for key in keys))
    Console(highlight=False).print(table)


def _spread(values: list[float]) -> str:
    spread = f" ± {torch.tensor(values).std():.2f}" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.2f}{spread}"


if __name__ == "__main__":
    main()
