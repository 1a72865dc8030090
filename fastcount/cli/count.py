"""``fastcount count``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.cli.counters import load_counter
from fastcount.cli.inputs import Input, expand, overlay_names
from fastcount.cli.messages import (
    FAILED,
    WRONG_USAGE,
    check_writable,
    json_text,
    leave,
    print_columns,
    print_json,
    say,
)
from fastcount.cli.waiting import Waiting
from fastcount.pictures import MAX_PIXELS, open_picture

if TYPE_CHECKING:
    from fastcount.runtime.counter import Counter

Zone = list[tuple[float, float]]

SAVE_EVERY = 10.0  # seconds between two writings of results.json while counting goes on


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"


def count(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, folders, patterns, http(s) addresses, or - for standard input.",
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped model or a model file.")
    ] = "crowd",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.json and overlays here.")
    ] = None,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay", help="Draw each result, with its zones, over its picture, into --out."
        ),
    ] = False,
    form: Annotated[
        Format | None, typer.Option("--format", help="What to print; a table by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    zone: Annotated[
        list[str] | None,
        typer.Option(metavar='"X,Y X,Y ..."', help="Also count inside this polygon; repeatable."),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Pixels a side counted at once; less saves memory.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles counted at once.")] = 1,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger pictures.")] = MAX_PIXELS,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; CUDA where there is one by default.")
    ] = None,
) -> None:
    """Count the things in pictures.

    Exit status: 0 done, 1 some pictures failed (the rest are counted), 2 wrong usage.
    """
    if overlay and out is None:
        leave("--overlay: where to? give --out DIR too", WRONG_USAGE)
    if as_json and form not in (None, Format.json):
        leave(f"--json and --format {form.value if form else ''}: give one of them", WRONG_USAGE)
    form = Format.json if as_json else form or Format.table
    zones = [parse_zone(text) for text in zone or []]
    inputs, failed = expand(paths)
    if out is not None:
        check_writable(out, f"--out {out}")
    entries: list[dict[str, Any]] = []
    for argument, reason in failed:
        say(reason)
        entries.append(not_counted(argument, reason))
    if inputs:
        counter = load_counter(model, device, tile)
        options = {"tile": tile, "batch_size": batch_size, "max_pixels": max_pixels}
        overlays = overlay_names(inputs) if overlay else [None] * len(inputs)
        saved = time.monotonic()
        try:
            with Waiting("counting", len(inputs)) as waiting:
                for each, name in zip(inputs, overlays, strict=True):
                    target = out / name if out is not None and name is not None else None
                    count_it = partial(_count_one, counter, each, zones, target, options, waiting)
                    entries.append(_or_reason(each, count_it))
                    waiting.step()
                    if out is not None and time.monotonic() - saved > SAVE_EVERY:
                        _save(entries, out)
                        saved = time.monotonic()
        except KeyboardInterrupt:  # what was counted is kept
            left = inputs[len(entries) - len(failed) :]
            say(f"stopped; {len(left)} of {len(inputs)} pictures are not counted")
            reason = "not counted: the command was stopped"
            entries += [not_counted(each.text, reason) for each in left]
    _finish(entries, form, out, len(zones))


def parse_zone(text: str) -> Zone:
    """``"x,y x,y x,y"`` as corners; leaves with 2 where it is no polygon."""
    from fastcount.zones import as_polygon

    try:
        corners = [tuple(map(float, pair.split(","))) for pair in text.split()]
        return [(float(x), float(y)) for x, y in as_polygon(corners)]
    except ValueError as error:
        leave(f'--zone "{text}": {error}; write corners as "x,y x,y x,y"', WRONG_USAGE)


def not_counted(path: str, reason: str) -> dict[str, Any]:
    """The entry of a picture without a count."""
    return {"path": path, "count": None, "points": None, "error": reason}


def _or_reason(each: Input, count_it: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``count_it`` tells of a picture, or why it cannot: a bad one ends nothing."""
    try:
        return count_it()
    except typer.Exit:  # a RuntimeError
        raise
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        reason = f"{error}" if each.text in f"{error}" else f"{each.text}: {error}"
        say(reason)
        return not_counted(each.text, reason)


def _count_one(
    counter: Counter,
    each: Input,
    zones: list[Zone],
    overlay: Path | None,
    options: dict[str, Any],
    waiting: Waiting,
) -> dict[str, Any]:
    picture = open_picture(each.source(), max_pixels=options["max_pixels"])
    counting = counter(
        picture, **options, progress=lambda done, total: waiting.part(0.999 * done / total)
    )
    entry = {"path": each.text, **counting.to_dict()}
    try:
        if zones:
            entry["zones"] = [counting.zone(corners) for corners in zones]
    except ValueError as error:  # the polygons are sound, so no picture will do
        leave(f"--{error}", WRONG_USAGE)
    if overlay is not None:
        from fastcount.files import atomic_write

        try:
            with atomic_write(overlay) as file:
                counting.overlay(picture, zones).save(file, "PNG")
            entry["overlay"] = str(overlay)
        except OSError as error:  # what was counted is not lost for that
            entry["error"] = f"--out: {overlay} cannot be written ({error})"
            say(entry["error"])
    return entry


def _save(entries: list[dict[str, Any]], out: Path) -> str:
    """Writes results.json; why it cannot, or nothing."""
    from fastcount.files import atomic_write

    try:
        with atomic_write(out / "results.json") as file:
            file.write(json_text(entries).encode())
    except OSError as error:
        return f"--out {out}: cannot be written ({error})"
    return ""


def _finish(entries: list[dict[str, Any]], form: Format, out: Path | None, zones: int) -> None:
    reason = "" if out is None else _save(entries, out)
    if reason:
        say(reason)
    if form is Format.json:
        print_json(entries)
    elif form is Format.csv:
        _print_csv(entries, zones)
    else:
        _print_table(entries, zones)
    if reason or any("error" in entry for entry in entries):
        raise typer.Exit(FAILED)


def _print_csv(entries: list[dict[str, Any]], zones: int) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "count", "std", *(f"zone{i + 1}" for i in range(zones)), "error"])
    for entry in entries:
        inside = entry.get("zones", [None] * zones)
        values = [entry["path"], entry["count"], entry.get("std"), *inside, entry.get("error")]
        writer.writerow(["" if value is None else value for value in values])


def _print_table(entries: list[dict[str, Any]], zones: int) -> None:
    titles = ["picture", "count", *(f"zone {number + 1}" for number in range(zones))]
    rows = []
    for entry in entries:
        if entry["count"] is None:
            rows.append([entry["path"], "failed", *[""] * zones])
            continue
        count = f"{entry['count']:.1f}" + (f" ± {entry['std']:.1f}" if entry.get("std") else "")
        rows.append([entry["path"], count, *(f"{z:.1f}" for z in entry.get("zones", []))])
    good = [entry["count"] for entry in entries if entry["count"] is not None]
    if len(good) > 1:
        rows += [[], [f"{len(good)} pictures", f"{sum(good):.1f}"]]
    print_columns([titles, *rows])
