"""``fastcount targets``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.cli.messages import (
    FAILED,
    WRONG_USAGE,
    check_writable,
    leave,
    print_json,
    say,
)
from fastcount.cli.waiting import Waiting

if TYPE_CHECKING:
    from fastcount.data.base import CountingDataset
    from fastcount.models.neighbour_sigma import NeighbourSigma

MANIFEST = "targets.json"


def targets(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help='"NAME:PATH?option=value&...", with points.')
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Write the maps and targets.json here.")],
    sigma: Annotated[
        float | None,
        typer.Option(help="Pixels; by default each point's own, from its neighbours."),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(min=1, help="Neighbours that decide a point's sigma.", show_default="4"),
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Sigma by their mean distance.", show_default="0.1")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Pixels a cell of the maps.")] = 1,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw each map over its picture, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the density maps of a data set: each point inside a picture adds exactly one.

    Training needs no such files, it draws its maps as it goes; they are for other programs and for
    looking at. Each map is a NumPy file, float32 (H / stride, W / stride); targets.json lists
    them, with how many points lie outside their picture.

    Exit status: 0 done, 1 some pictures failed (the rest are written), 2 wrong usage.
    """
    from fastcount.cli.inputs import Input, unique_stems
    from fastcount.data import open_dataset
    from fastcount.files import atomic_write
    from fastcount.models.neighbour_sigma import NeighbourSigma

    if sigma is not None and not 0 < sigma < math.inf:
        leave(f"--sigma {sigma}: must be positive and finite", WRONG_USAGE)
    if beta is not None and not 0 < beta < math.inf:
        leave(f"--beta {beta}: must be positive and finite", WRONG_USAGE)
    if sigma is not None and (k is not None or beta is not None):
        leave("--sigma is every point's own width: leave out --k and --beta", WRONG_USAGE)
    neighbours = NeighbourSigma(k=4 if k is None else k, beta=0.1 if beta is None else beta)
    try:
        data = open_dataset(dataset)
    except (ValueError, OSError) as error:
        leave(str(error), WRONG_USAGE)
    check_writable(out, f"--out {out}")
    stems = unique_stems([Input(name) for name in data.ids])
    entries: list[dict[str, Any]] = []
    with Waiting("drawing", len(data)) as waiting:
        for index, stem in enumerate(stems):
            entry: dict[str, Any] = {"id": data.ids[index]}
            try:
                entry |= _draw(data, index, out / stem, sigma, neighbours, stride, overlay)
            except (ValueError, OSError) as error:
                say(f"{data.ids[index]}: {error}")
                entry["error"] = str(error)
            entries.append(entry)
            waiting.step()
    try:
        with atomic_write(out / MANIFEST, "w") as file:
            json.dump(entries, file, indent=1)
    except OSError as error:
        leave(f"--out {out}: cannot be written ({error})", WRONG_USAGE)
    failed = sum("error" in entry for entry in entries)
    if as_json:
        print_json(entries)
    else:
        typer.echo(out / MANIFEST)
    say(f"{len(entries) - failed} maps of {sum(e.get('count', 0) for e in entries)} points")
    if failed:
        leave(f"{failed} of {len(entries)} pictures failed", FAILED)


def _draw(
    data: CountingDataset,
    index: int,
    target: Path,
    sigma: float | None,
    neighbours: NeighbourSigma,
    stride: int,
    overlay: bool,
) -> dict[str, Any]:
    """Writes one map, and what is to be said of it."""
    import numpy as np
    import torch

    from fastcount import ops
    from fastcount.cli.inputs import OVERLAY_SUFFIX
    from fastcount.counting import Counting
    from fastcount.data.transforms import inside
    from fastcount.files import atomic_write

    found = data.annotation(index).points
    if found is None:
        raise ValueError("has a count but no dots; a map needs their places")
    picture = data.picture(index)
    size = (picture.shape[0], picture.shape[1])
    points = torch.from_numpy(np.array(found, dtype=np.float64))
    here = points[inside(points, size)]
    width = neighbours.of(here) if sigma is None else sigma
    density = ops.density_map(here, size, sigma=width, stride=stride)[0, 0].numpy()
    file_name = target.with_name(f"{target.name}.npy")
    with atomic_write(file_name) as file:
        np.save(file, density)
    if overlay:
        counting = Counting(float(len(here)), size, density=density, stride=stride)
        with atomic_write(target.with_name(target.name + OVERLAY_SUFFIX)) as file:
            counting.overlay(picture).save(file, "PNG")
    outside = len(points) - len(here)
    return {"map": file_name.name, "size": list(size), "count": len(here), "outside": outside}
