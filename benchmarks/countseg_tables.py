"""CountSeg's Table 2, left: errors of the counts by class for models trained with fewer losses.

    python benchmarks/countseg_tables.py MODEL... --test DATASET [--device cpu] [--json FILE]

Each MODEL is a file; its row says which losses it was trained with. Counts are rounded, as in the
paper, whose numbers are for Pascal VOC 2007. GAME(0..3) of the densities stands beside them where
the data set has points.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch
from rich.console import Console
from rich.table import Table

from fastcount.data import open_dataset
from fastcount.files import atomic_write
from fastcount.metrics import ClassCountError
from fastcount.metrics.functional import (
    grid_counts_of_density,
    grid_counts_of_points,
    grid_error,
)
from fastcount.models.checkpoint import load_model
from fastcount.models.countseg import CountSeg
from fastcount.predict import TorchEngine
from fastcount.runtime.counter import Counter

# mRMSE and mRMSE-nz
PAPER = {
    ("class", "mse"): (0.36, 1.52),
    ("class", "mse", "spatial"): (0.33, 1.32),
    ("class", "mse", "rank", "spatial"): (0.29, 1.14),
}
COLUMNS = ("mrmse", "mrmse_nz", "m_relrmse", "m_relrmse_nz")
LEVELS = 4


def measure(model: CountSeg, dataset: str, device: torch.device) -> dict[str, float]:
    """The four errors, and GAME at each level where every picture has points."""
    data = open_dataset(dataset)
    if len(model.classes) > 1 and model.classes != data.classes:
        raise ValueError(f"classes: the model has {model.classes}, {dataset} has {data.classes}")
    counter, metric = Counter(TorchEngine(model, device)), ClassCountError(len(model.classes))
    games: list[list[float]] = []
    for index in range(len(data)):
        truth, counting = data.annotation(index), counter(data.picture(index))
        assert counting.per_class is not None
        assert counting.density is not None
        found = torch.tensor([[counting.per_class[name] for name in model.classes]])
        if truth.labels is None or len(model.classes) == 1:
            true = torch.tensor([[truth.count]])
        else:
            labels = torch.from_numpy(truth.labels)
            true = torch.bincount(labels, minlength=len(model.classes))[None].float()
        metric.update(found, true)
        if truth.points is not None:
            density, points = torch.from_numpy(counting.density), torch.from_numpy(truth.points)
            stride = None if isinstance(counting.stride, tuple) else counting.stride
            cells = [
                (
                    grid_counts_of_density(density, counting.size, level, stride=stride),
                    grid_counts_of_points(points, counting.size, level),
                )
                for level in range(LEVELS)
            ]
            games.append([float(grid_error(*pair)) for pair in cells])
        print(f"{index + 1}/{len(data)}", file=sys.stderr)
    result = {name: float(value) for name, value in metric.compute().items()}
    if len(games) == len(data):
        for level, errors in enumerate(zip(*games, strict=True)):
            result[f"game_{level}"] = sum(errors) / len(errors)
    return result


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--test", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="write the numbers there, too")
    options = parser.parse_args(arguments)
    report, table = {}, Table(title="Table 2: mean RMSE over classes, and its relatives")
    table.add_column("losses")
    for name in ("mRMSE, paper", "ours", "nz, paper", "ours", "rel", "rel-nz", "GAME(0..3)"):
        table.add_column(name, justify="right")
    for file in options.models:
        model = load_model(file)
        if not isinstance(model, CountSeg):
            parser.error(f"{file} is no CountSeg")
        terms = tuple(sorted(model.terms))
        paper = [f"{value:.2f}" for value in PAPER.get(terms, ())] or ["", ""]
        report[file] = found = measure(model, options.test, torch.device(options.device))
        ours = [f"{found[name]:.3f}" for name in COLUMNS]
        games = " ".join(f"{found[key]:.2f}" for key in found if key.startswith("game"))
        row = [paper[0], ours[0], paper[1], ours[1], ours[2], ours[3], games]
        table.add_row(" + ".join(terms), *row)
    Console(highlight=False).print(table)
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(report, file, indent=1)
    return report


if __name__ == "__main__":
    main()
