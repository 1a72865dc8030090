"""What every command says, and how it leaves: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

FAILED = 1
WRONG_USAGE = 2


def say(text: str) -> None:
    """A line for the person at the terminal."""
    typer.echo(f"fastcount: {text}", err=True)


def leave(text: str, code: int) -> NoReturn:
    """Says why, and ends the command with the exit status ``code``."""
    say(text)
    raise typer.Exit(code)


def check_writable(folder: Path, option: str) -> None:
    """Leaves with 2 where nothing can be written: before the work, not behind it. Makes the folder.

    ``option``: as the user gave it, ``--out DIR`` say.
    """
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        leave(f"{option}: cannot be written ({error})", WRONG_USAGE)


def print_table(*parts: RenderableType) -> None:
    """Tables and lines for a person, or for ``grep``: into a pipe, no line is broken."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 1000
    for part in parts:
        console.print(part)


def print_columns(rows: list[list[str]]) -> None:
    """A plain table: the first column at the left, the others at the right; an empty row parts it.

    For the command that is to be quick: rich takes longer to import than a picture to count.
    """
    columns = max(map(len, rows))
    cells = [[*map(_in_one_line, row), *[""] * (columns - len(row))] for row in rows]
    widths = [max(_width(row[place]) for row in cells) for place in range(columns)]
    for row in cells:
        padding = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        numbers = (space + cell for space, cell in zip(padding[1:], row[1:], strict=True))
        typer.echo("  ".join([row[0] + padding[0], *numbers]).rstrip())


def _in_one_line(text: str) -> str:
    """Without what moves a terminal's cursor, or worse: a file's name may hold anything."""
    if text.isprintable():
        return text
    from unicodedata import category

    plain = (c.isprintable() or category(c) == "Zs" for c in text)  # spaces of all widths
    return "".join(c if shown else repr(c)[1:-1] for c, shown in zip(text, plain, strict=True))


def _width(text: str) -> int:
    """Places that a terminal takes for it: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    sys.stdout.write(json_text(document) + "\n")


def json_text(document: Any) -> str:
    """The document as text that UTF-8 can hold, also with file names that are no text."""
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(document, indent=1, allow_nan=False)
    return text
