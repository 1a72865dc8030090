"""What every command says, and how it leaves: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
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


def print_table(*parts: RenderableType) -> None:
    """Tables and lines for a person, or for ``grep``: into a pipe, no line is broken."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 1000
    for part in parts:
        console.print(part)


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")
