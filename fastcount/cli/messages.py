"""What every command says, and how it leaves: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import typer

FAILED = 1
WRONG_USAGE = 2


def say(text: str) -> None:
    """A line for the person at the terminal."""
    typer.echo(f"fastcount: {text}", err=True)


def leave(text: str, code: int) -> NoReturn:
    """Says why, and ends the command with the exit status ``code``."""
    say(text)
    raise typer.Exit(code)


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")
