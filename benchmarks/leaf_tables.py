"""Leaf counting, Table 3 and Figure 3 (Itzhaky et al. 2018): the paper's rows beside ours.

    python benchmarks/leaf_tables.py --train SPEC --test SPEC [--points SPEC --points-test SPEC]
        [--backbone NAME --weights PATH --channels N --size SHORT LONG] [--steps N] [--rows NAME...]

Each row's network is trained from the same start, with the same seed, pictures and number of
steps; its checkpoint is chosen on a validation split of ``--train``, and what is printed was
measured on ``--test`` alone. The detectors learn from ``--points`` besides. Rows 4 to 6 of
Table 3 are one network, fused in three ways. The paper's numbers are of other data (CVPPP leaf
counting, A4 and A1) and stand there to compare directions, not values. Stopped and started again
it goes on where it was. The paper's four-fold cross validation is four such tables, N from 1 to 4:
``--train "SPEC&not_fold=N/4" --test "SPEC&fold=N/4"``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from fastcount.counting import Counting
from fastcount.data import open_dataset
from fastcount.data.base import CountingDataset
from fastcount.files import atomic_write
from fastcount.metrics import CountAgreement, PckAP
from fastcount.metrics.functional import std_coverage
from fastcount.models import CountingModel
from fastcount.models.checkpoint import load_model
from fastcount.predict import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.training.calibration import best_std_factor
from fastcount.training.config import load_config
from fastcount.training.fit import fit
from fastcount.training.pictures import PicturesModule

console = Console(highlight=False)
AUGMENT = {"rotation": 15.0, "grey": 0.0}
NO_AUGMENT = {"flip": False, "brightness": 0.0, "contrast": 0.0, "grey": 0.0}


@dataclass(frozen=True)
class Network:
    """One training: the model's name and arguments, and whether pictures are changed."""

    model: dict[str, Any]
    changed: bool = True

    @property
    def detects(self) -> bool:
        return self.model["name"] in ("leaf_detection", "leaf_joint")


@dataclass(frozen=True)
class Row:
    """One line: a network, how it is fused, and the paper's DiC, |DiC|, agreement %, MSE."""

    title: str
    network: str
    fusion: str | None = None
    paper: tuple[float, ...] = ()


MSR = {"name": "leaf_msr"}
DETECTION = {"name": "leaf_detection"}
NETWORKS = {
    "baseline": Network({"name": "leaf_regression"}),
    "p3": Network({**MSR, "levels": [3], "loss": "l2", "fusion": "average"}),
    "pyramid": Network({**MSR, "loss": "l2", "fusion": "average"}),
    "gaussian": Network(MSR),
    "laplacian": Network({**MSR, "loss": "laplacian"}),
    "detection": Network(DETECTION),
    "detection-plain": Network(DETECTION, changed=False),
    "detection-single": Network({**DETECTION, "radii": [3]}),
    "detection-only": Network({**DETECTION, "averages": False}),
    "joint": Network({"name": "leaf_joint"}),
}
TABLE_3 = (
    Row("1 baseline, C5, L2", "baseline", paper=(-0.92, 1.08, 38, 2.93)),
    Row("2 P3, L2", "p3", paper=(0.27, 0.74, 39, 1.08)),
    Row("3 P3-P7, L2, average", "pyramid", paper=(0.34, 0.76, 42, 1.31)),
    Row("4 P3-P7, eq. 1, average", "gaussian", "average", (0.10, 0.69, 44, 1.04)),
    Row("5 P3-P7, eq. 1, least variance", "gaussian", "min_variance", (-0.01, 0.62, 49, 0.91)),
    Row("6 P3-P7, eq. 1, MLE", "gaussian", "mle", (-0.05, 0.60, 49, 0.87)),
    Row("- P3-P7, eq. 1, weighted median", "gaussian", "weighted_median"),
    Row("- P3-P7, Laplacian, least variance", "laplacian", "min_variance"),
    Row("- P3-P7, Laplacian, weighted median", "laplacian", "weighted_median"),
)
FIGURE_3 = (
    Row("1 D+R", "detection", paper=(0.08, 0.64, 47, 0.89)),
    Row("2 no data augmentation", "detection-plain", paper=(0.21, 0.66, 46, 0.93)),
    Row("3 one detection loss", "detection-single", paper=(1.06, 1.41, 34, 3.84)),
    Row("4 detection only", "detection-only", paper=(0.83, 1.25, 27, 2.88)),
    Row("- MSR and D+R in one, least variance", "joint", "min_variance"),
    Row("- MSR and D+R in one, MLE", "joint", "mle"),
)


def train(name: str, options: argparse.Namespace) -> tuple[CountingModel, Path]:
    """The trained network and its run's configuration file."""
    network = NETWORKS[name]
    model = {**network.model, "backbone": options.backbone, "size": options.size}
    if options.weights:
        model["weights"] = options.weights
    if model["name"] != "leaf_regression":
        model["channels"] = options.channels
    if network.detects:
        model["radii"] = [options.radius] * len(model.get("radii", [3, 3, 3, 3]))
    scale = [0.9, 1.1] if network.changed else [1.0, 1.0]
    parts = [{"dataset": options.train, "scale": scale, "weight": 0.75 if options.points else 1.0}]
    if network.detects and options.points:
        part = {"dataset": options.points, "scale": scale, "weight": 0.25, "validate": False}
        parts.append(part)
    config = {
        "name": name,
        "model": model,
        "train": parts,
        "holdout": [spec for spec in (options.test, options.points_test) if spec],
        "validation": options.validation,
        "augment": AUGMENT if network.changed else NO_AUGMENT,
        "batch_size": options.batch_size,
        "steps": options.steps,
        "validate_every": max(1, options.steps // 6),
        "warmup": max(1, options.steps // 20),
        "lr": options.lr,
        "backbone_lr": options.lr / 5,
        "precision": options.precision,
        "ema": options.ema,
        "seed": options.seed,
        "accelerator": options.accelerator,
        "output": str(options.output),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return load_model(fit(path)), path


def count_all(model: CountingModel, dataset: CountingDataset, indices: list[int]) -> list[Counting]:
    counter = Counter(TorchEngine(model, "cuda" if torch.cuda.is_available() else "cpu"))
    return [counter(dataset.picture(i)) for i in indices]


def spread(model: CountingModel, path: Path) -> float:
    """The factor of the model's deviations that fits its errors on the validation split."""
    pictures = PicturesModule(load_config(path), model.tiling)
    counted, deviations, truth = [], [], []
    for subset in pictures.validation.values():
        for counting, i in zip(
            count_all(model, subset.dataset, list(subset.indices)), subset.indices, strict=True
        ):
            counted.append(counting.count)
            deviations.append(counting.std)
            truth.append(subset.dataset.annotation(i).count)
    columns = (torch.tensor(each, dtype=torch.float64) for each in (counted, deviations, truth))
    return best_std_factor(*columns)


def measure(
    row: Row, model: CountingModel, path: Path, options: argparse.Namespace
) -> dict[str, float]:
    """The row's numbers on the test pictures."""
    if row.fusion is not None:
        model.fusion = row.fusion
    dataset = open_dataset(options.test)
    indices = list(range(len(dataset)))
    countings = count_all(model, dataset, indices)
    counts = torch.tensor([each.count for each in countings])
    truth = torch.tensor([dataset.annotation(i).count for i in indices])
    agreement = CountAgreement()
    agreement.update(counts, truth)
    result = {name: float(value) for name, value in agreement.compute().items()}
    if countings[0].std is not None:
        factor = spread(model, path)
        deviations = torch.tensor([each.std for each in countings])
        for label, scaled in (("raw", deviations), ("calibrated", factor * deviations)):
            within = std_coverage(counts, scaled, truth).tolist()
            result[f"within_1_std_{label}"], result[f"within_2_std_{label}"] = within
    if NETWORKS[row.network].detects and options.points_test:
        result |= localise(model, open_dataset(options.points_test))
    return result


def localise(model: CountingModel, dataset: CountingDataset) -> dict[str, float]:
    """PCK-AP with alpha 0.1, of peaks from 0.05 on; a plant is as large as its points' box."""
    kept, model.least_peak = model.least_peak, 0.05
    metric = PckAP()
    indices = list(range(len(dataset)))
    for counting, i in zip(count_all(model, dataset, indices), indices, strict=True):
        points, scores = torch.from_numpy(counting.points), torch.from_numpy(counting.scores)
        metric.update(points, scores, torch.from_numpy(dataset.annotation(i).points))
    model.least_peak = kept
    values = metric.compute()
    return {"pck_ap": float(values["ap"]), "pck_recall": float(values["recall"])}


COLUMNS = ("dic", "abs_dic", "agreement", "mse")


def show(title: str, rows: list[tuple[Row, dict[str, float]]]) -> None:
    table = Table(title=title)
    table.add_column("")
    for name in ("DiC", "|DiC|", "agree %", "MSE"):
        table.add_column(f"{name}\npaper", justify="right")
        table.add_column(f"{name}\nours", justify="right")
    table.add_column("in 1, 2 std\nraw", justify="right")
    table.add_column("in 1, 2 std\ncalibrated", justify="right")
    table.add_column("PCK-AP", justify="right")
    for row, ours in rows:
        cells = [row.title]
        for place, name in enumerate(COLUMNS):
            cells += [f"{row.paper[place]:g}" if row.paper else "-", f"{ours[name]:.2f}"]
        for label in ("raw", "calibrated"):
            both = [ours.get(f"within_{n}_std_{label}") for n in (1, 2)]
            cells.append(" ".join("-" if share is None else f"{share:.2f}" for share in both))
        cells.append(f"{ours['pck_ap']:.2f}" if "pck_ap" in ours else "-")
        table.add_row(*cells)
    console.print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="data set of counted pictures")
    parser.add_argument("--test", required=True, help="data set that the numbers are of")
    parser.add_argument("--points", help="more training pictures, with points, for the detectors")
    parser.add_argument("--points-test", help="pictures with points that PCK-AP is of")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--weights", help="where the backbone starts from")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--radius", type=int, default=3, help="of the heat maps' Gaussians, cells")
    parser.add_argument("--size", type=int, nargs=2, default=[800, 1333])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--validation", type=float, default=0.2, help="share of --train")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/leaf-tables"))
    parser.add_argument("--rows", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    return parser.parse_args()


def main() -> None:
    options = arguments()
    trained = {name: train(name, options) for name in NETWORKS if name in options.rows}
    results: dict[str, dict[str, dict[str, float]]] = {}
    for title, rows in (("Table 3", TABLE_3), ("Figure 3", FIGURE_3)):
        measured = [
            (row, measure(row, *trained[row.network], options))
            for row in rows
            if row.network in trained
        ]
        if measured:
            show(f"{title}; the paper's numbers are of CVPPP, ours of {options.test}", measured)
            results[title] = {row.title: ours for row, ours in measured}
    written = options.output / "results.json"
    networks = {
        name: {
            "seconds": model.card["seconds"],
            "validation_error": model.card["validation_error"],
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        for name, (model, _) in trained.items()
    }
    report = {"options": vars(options), "networks": networks, **results}
    with atomic_write(written, "w") as file:
        json.dump(report, file, indent=1, default=str)
    console.print(f"written to {written}")


if __name__ == "__main__":
    main()
