"""``fastcount boxes``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.cli.messages import FAILED, WRONG_USAGE, check_writable, leave, say
from fastcount.cli.waiting import Waiting

if TYPE_CHECKING:
    from fastcount.data.base import CountingDataset
    from fastcount.data.boxes_from_dots import Floats, Presets

    Boxed = tuple[Floats, tuple[int, int]]  # the boxes of a picture, and its (H, W)


class Method(StrEnum):
    """How sizes are guessed where nobody drew boxes."""

    neighbours = "neighbours"
    perspective = "perspective"


def boxes(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="NAME:PATH?option=value&..., with dots.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write COCO's JSON here.")
    ] = None,
    presets: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON of boxes drawn by hand, a few for each scene."),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Draw them first, on a web page of this machine's own.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")
    ] = 0,
    method: Annotated[
        Method, typer.Option(help="Sizes where there is no preset: guess them from what?")
    ] = Method.neighbours,
    factor: Annotated[
        float, typer.Option(help="Side of a guessed box, in distances to the neighbours.")
    ] = 0.6,
    low: Annotated[float, typer.Option(help="Least side of a guessed box in pixels.")] = 4.0,
    high: Annotated[float, typer.Option(help="Greatest side of a guessed box in pixels.")] = 64.0,
    overlay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the boxes of each picture into here.")
    ] = None,
) -> None:
    """Make boxes for a data set that has dots, so that a detector can learn from it.

    With --presets, every object takes its size from the two preset boxes nearest to it; with
    --page they are drawn in a browser and written to that file. Train on the result as coco:FILE,
    the FILE of --out, which --page can do without. Exit status: 0 done, 1 some pictures failed
    (the file has the others), 2 wrong usage.
    """
    import numpy as np

    from fastcount.data import open_dataset
    from fastcount.data.boxes_from_dots import Presets, boxes_for

    options: dict[str, Any] = {"method": method.value, "factor": factor, "low": low, "high": high}
    if out is None and not page:
        leave("give --out FILE for the boxes, or --page to draw some first", WRONG_USAGE)
    try:
        data = open_dataset(dataset)
        if data.rendered:
            raise ValueError(f"{dataset}: is rendered, with no files that boxes could name")
        if page:
            _draw(data, presets, port)
            if out is None:
                return
        drawn = None if presets is None else Presets.read(presets)
        boxes_for(np.zeros((0, 2)), None, **options)
    except (ValueError, OSError) as error:
        leave(str(error), WRONG_USAGE)
    assert out is not None
    if out.is_dir():
        leave(f"--out {out}: is a folder; name a file", WRONG_USAGE)
    check_writable(out.parent, f"--out {out}")
    if overlay is not None:
        check_writable(overlay, f"--overlay {overlay}")
    found = _box(data, drawn, options, overlay)
    failed = sum(one is None for one in found)
    if failed and failed == len(data):
        leave(f"all {failed} pictures failed; {out} is not written", FAILED)
    _write(data, found, out)
    if failed:
        leave(f"{failed} of {len(data)} pictures failed; {out} is without them", FAILED)


def _box(
    data: CountingDataset, drawn: Presets | None, options: dict[str, Any], overlay: Path | None
) -> list[Boxed | None]:
    """The boxes of each picture; a bad one is told of, and is None."""
    from fastcount.cli.inputs import Input, overlay_names

    found: list[Boxed | None] = []
    overlays = overlay_names([Input(name) for name in data.ids])
    with Waiting("boxing", len(data)) as waiting:
        for index, name in enumerate(data.ids):
            target = None if overlay is None else overlay / overlays[index]
            try:
                found.append(_box_one(data, index, drawn, options, target))
            except (ValueError, OSError) as error:
                say(f"{name}: {error}")
                found.append(None)
            waiting.step()
    return found


def _box_one(
    data: CountingDataset,
    index: int,
    drawn: Presets | None,
    options: dict[str, Any],
    overlay: Path | None,
) -> Boxed:
    import numpy as np

    from fastcount.counting import Counting
    from fastcount.data.boxes_from_dots import boxes_for
    from fastcount.files import atomic_write

    points = data.annotation(index).points
    if points is None:
        raise ValueError("has a count but no dots; boxes need a place")
    picture = data.picture(index)
    presets = None if drawn is None else drawn.of(data.ids[index])
    boxes = boxes_for(points.astype(np.float64), presets, **options)
    size = (picture.shape[0], picture.shape[1])
    if overlay is not None:
        counting = Counting(float(len(boxes)), size, boxes=boxes.astype(np.float32))
        with atomic_write(overlay) as file:
            counting.overlay(picture).save(file, "PNG")
    return boxes, size


def _write(data: CountingDataset, found: list[Boxed | None], out: Path) -> None:
    """Writes what was ``found`` as COCO's JSON, and says how much that is."""
    from fastcount.data.boxes_from_dots import coco_document
    from fastcount.files import atomic_write

    boxes = [None if one is None else one[0] for one in found]
    sizes = [None if one is None else one[1] for one in found]
    document = coco_document(data, boxes, sizes, out.parent)
    try:
        with atomic_write(out, "w") as file:
            json.dump(document, file)
    except (OSError, ValueError) as error:
        leave(f"--out {out}: cannot be written ({error})", WRONG_USAGE)
    say(f"{len(document['annotations'])} boxes in {len(document['images'])} pictures")
    typer.echo(out)


def _draw(data: CountingDataset, presets: Path | None, port: int) -> None:
    """Serves the page until the person is done; prints the file that holds the boxes then."""
    from fastcount.cli.boxes_page import PresetsServer

    if presets is None:
        raise ValueError("--page: name the file for the boxes, --presets FILE")
    if not len(data):
        raise ValueError("the data set holds no pictures; check its path and options")
    try:
        server = PresetsServer(data, presets, port)
    except OSError as error:
        raise ValueError(f"--port {port}: cannot be listened at ({error}); take another") from error
    with server:
        say(f"draw at {server.url} (Done there, or Ctrl-C here, when you are)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.server_close()
    typer.echo(presets)
