"""``fastcount eval``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.cli.box_scores import BoxScores
from fastcount.cli.counters import load_counter
from fastcount.cli.messages import FAILED, WRONG_USAGE, leave, print_json, print_table, say
from fastcount.cli.waiting import Waiting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from fastcount.counting import Counting
    from fastcount.data.base import CountingDataset
    from fastcount.data.sample import Annotation

LEVELS = 4  # GAME(0) to GAME(3): 1, 4, 16 and 64 cells


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model or a model file.")],
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="NAME:PATH?option=value&..., as in recipes.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Pixels a side counted at once; less saves memory.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles counted at once.")] = 1,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; CUDA where there is one by default.")
    ] = None,
) -> None:
    """Measure a model on a data set.

    Prints n pictures, MAE, RMSE, MSE, NAE (over pictures that hold anything), bias (mean of
    predicted minus true), GAME(0..3) where every picture has its true points and the model says
    where it counts, COCO's AP, AP50 and AP75 where both have boxes, and, of a model that gives
    deviations, the coverage: the shares of the counts within one and two of them. Each picture is
    read once and counted in tiles, so memory does not grow.
    Exit status: 0 done, 1 some pictures failed or Ctrl-C came before them (the rest are measured),
    2 wrong usage.
    """
    from fastcount.class_names import by_class, require_same_classes

    data = _opened(dataset)
    counter = load_counter(model, device, tile)
    classes = counter.engine.classes
    try:
        require_same_classes(classes, data.classes, dataset)
    except ValueError as error:
        leave(str(error), WRONG_USAGE)
    boxes = None
    if _has_boxes(data):
        boxes = BoxScores(counter, by_class=by_class(classes, data.classes))
    measured = _measure(partial(counter, tile=tile, batch_size=batch_size), data, boxes)
    failed = measured.failed
    report: dict[str, Any] = {"model": model, "dataset": dataset}
    if not measured.predicted:
        if as_json:
            print_json(
                {**report, "n": 0, "mae": None, "rmse": None, "game": None, "failed": failed}
            )
        leave(f"{dataset}: not one of its {failed} pictures could be counted", FAILED)
    report |= measured.errors()
    if boxes is not None:
        report |= boxes.result()
    if failed:
        report["failed"] = failed
    if as_json:
        print_json(report)
    else:
        _print_table(report)
    if failed:
        raise typer.Exit(FAILED)


@dataclass
class _Measured:
    """What was counted of each picture and what is true; ``failed``: pictures without a count."""

    predicted: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)
    games: list[list[float]] = field(default_factory=list)
    failed: int = 0

    def add(self, counting: Counting, truth: Annotation) -> None:
        self.predicted.append(counting.count)
        self.true.append(truth.count)
        if counting.std is not None:
            self.deviations.append(counting.std)
        game = None if truth.points is None else _game(counting, truth.points)
        if game is not None:
            self.games.append(game)

    def errors(self) -> dict[str, Any]:
        """Of the counts, in the grid where each picture has one, and of the deviations."""
        report = _errors(self.predicted, self.true)
        report["game"] = None
        if len(self.games) == len(self.true):
            report["game"] = [
                sum(level) / len(self.games) for level in zip(*self.games, strict=True)
            ]
        if len(self.deviations) == len(self.true):
            report["coverage"] = _coverage(self.predicted, self.deviations, self.true)
        return report


def _opened(dataset: str) -> CountingDataset:
    """Leaves with 2 where there is no such data set, or it holds no pictures."""
    from fastcount.data import open_dataset

    try:
        data = open_dataset(dataset)
    except (ValueError, OSError) as error:
        leave(str(error), WRONG_USAGE)
    if not len(data):
        leave(f"{dataset}: holds no pictures; check its path and options", WRONG_USAGE)
    return data


def _measure(
    count: Callable[[NDArray[np.uint8]], Counting], data: CountingDataset, boxes: BoxScores | None
) -> _Measured:
    """Counts each picture of ``data``; a bad one is told of, and ends nothing."""
    measured = _Measured()
    with Waiting("measuring", len(data)) as waiting:
        for index in range(len(data)):
            try:
                truth = data.annotation(index)
                counting = count(data.picture(index))
                if boxes is not None:
                    counting = boxes.counted(counting, truth)
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                say(f"{data.ids[index]}: {error}")
                measured.failed += 1
            except KeyboardInterrupt:  # what was measured is told
                left = len(data) - index
                say(f"stopped; {left} of {len(data)} pictures are not measured")
                measured.failed += left
                break
            else:
                measured.add(counting, truth)
            waiting.step()
    return measured


def _has_boxes(data: CountingDataset) -> bool:
    try:
        return data.annotation(0).boxes is not None
    except (ValueError, OSError):  # it will be told of when its turn comes
        return False


def _errors(predicted: list[float], true: list[float]) -> dict[str, Any]:
    import torch

    from fastcount.metrics.functional import count_error

    kind = torch.float64
    errors = count_error(torch.tensor(predicted, dtype=kind), torch.tensor(true, dtype=kind))
    return {"n": len(true), **{name: float(value) for name, value in errors.items()}}


def _coverage(predicted: list[float], deviations: list[float], true: list[float]) -> list[float]:
    import torch

    from fastcount.metrics.functional import std_coverage

    columns = (torch.tensor(each, dtype=torch.float64) for each in (predicted, deviations, true))
    shares: list[float] = std_coverage(*columns).tolist()
    return shares


def _game(counting: Counting, points: Any) -> list[float] | None:
    """The errors at each level; None where the model does not say where it counts."""
    import torch

    from fastcount.metrics.functional import grid_counts_of_points, grid_error

    truth = torch.as_tensor(points)
    errors = []
    for level in range(LEVELS):
        cells = _cells(counting, level)
        if cells is None:
            return None
        errors.append(float(grid_error(cells, grid_counts_of_points(truth, counting.size, level))))
    return errors


def _cells(counting: Counting, level: int) -> Tensor | None:
    import torch

    from fastcount.metrics.functional import grid_counts_of_density, grid_counts_of_points

    if counting.density is not None:
        # A pair of strides: a mosaic of whole tiles, which stretches evenly over the picture.
        stride = None if isinstance(counting.stride, tuple) else counting.stride
        density = torch.from_numpy(counting.density)
        return grid_counts_of_density(density, counting.size, level, stride=stride)
    centres = counting.centres()
    if centres is None:
        return None
    return grid_counts_of_points(torch.from_numpy(centres), counting.size, level)


def _print_table(report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in report.items():
        if value is None:
            continue
        if name == "game":
            for level, error in enumerate(value):
                table.add_row(f"GAME({level})", f"{error:.3f}")
        elif name == "coverage":
            for multiple, share in enumerate(value, start=1):
                table.add_row(f"within {multiple} std", f"{share:.3f}")
        elif isinstance(value, float):
            table.add_row(name.upper() if name != "bias" else name, f"{value:.3f}")
        else:
            table.add_row(name, str(value))
    print_table(table)
