"""``fastcount eval``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.cli.box_scores import BoxScores
from fastcount.cli.counters import load_counter
from fastcount.cli.messages import FAILED, WRONG_USAGE, leave, print_json, print_table, say
from fastcount.cli.waiting import Waiting

if TYPE_CHECKING:
    from torch import Tensor

    from fastcount.counting import Counting
    from fastcount.data.base import CountingDataset

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
    from fastcount.data import open_dataset

    try:
        data = open_dataset(dataset)
    except (ValueError, OSError) as error:
        leave(str(error), WRONG_USAGE)
    if not len(data):
        leave(f"{dataset}: holds no pictures; check its path and options", WRONG_USAGE)
    counter = load_counter(model, device, tile)
    classes = counter.engine.classes
    try:
        require_same_classes(classes, data.classes, dataset)
    except ValueError as error:
        leave(str(error), WRONG_USAGE)
    boxes = None
    if _has_boxes(data):
        boxes = BoxScores(counter, by_class=by_class(classes, data.classes))
    predicted: list[float] = []
    true: list[float] = []
    deviations: list[float] = []
    games: list[list[float]] = []
    failed = 0
    with Waiting("measuring", len(data)) as waiting:
        for index in range(len(data)):
            try:
                truth = data.annotation(index)
                counting = counter(data.picture(index), tile=tile, batch_size=batch_size)
                if boxes is not None:
                    counting = boxes.counted(counting, truth)
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                say(f"{data.ids[index]}: {error}")
                failed += 1
            except KeyboardInterrupt:  # what was measured is told
                left = len(data) - index
                say(f"stopped; {left} of {len(data)} pictures are not measured")
                failed += left
                break
            else:
                predicted.append(counting.count)
                true.append(truth.count)
                if counting.std is not None:
                    deviations.append(counting.std)
                game = None if truth.points is None else _game(counting, truth.points)
                if game is not None:
                    games.append(game)
            waiting.step()
    report: dict[str, Any] = {"model": model, "dataset": dataset}
    if not predicted:
        if as_json:
            print_json(
                {**report, "n": 0, "mae": None, "rmse": None, "game": None, "failed": failed}
            )
        leave(f"{dataset}: not one of its {failed} pictures could be counted", FAILED)
    report |= _errors(predicted, true)
    report["game"] = None
    if len(games) == len(true):
        report["game"] = [sum(level) / len(games) for level in zip(*games, strict=True)]
    if len(deviations) == len(true):
        report["coverage"] = _coverage(predicted, deviations, true)
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
