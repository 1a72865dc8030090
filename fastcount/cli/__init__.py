"""The command line. Each command is a file of its own, and imports PyTorch only when it runs."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

import fastcount

#: Each command's module and function. Only that of the command given is imported: parameters of all
#: would take longer to build than a small picture to count.
_COMMANDS = {
    "count": ("fastcount.cli.count", "count"),
    "eval": ("fastcount.cli.eval", "evaluate"),
    "export": ("fastcount.cli.export", "export"),
    "train": ("fastcount.cli.train", "train"),
    "targets": ("fastcount.cli.targets", "targets"),
    "boxes": ("fastcount.cli.boxes", "boxes"),
    "profile": ("fastcount.cli.profile", "profile"),
    "models": ("fastcount.cli.models", "models"),
    "doctor": ("fastcount.cli.doctor", "doctor"),
}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(fastcount.__version__)
        raise typer.Exit


def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Count things in pictures."""


def _application(names: Iterable[str]) -> typer.Typer:
    app = typer.Typer(
        name="fastcount",
        help="Count things in pictures.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_common)
    for name in names:
        module, function = _COMMANDS[name]
        app.command(name)(getattr(importlib.import_module(module), function))
    return app


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line ``arguments`` (those of the process by default).

    Returns 0 done, 1 some inputs failed, 2 wrong usage.
    """
    _mend_streams()
    given = sys.argv[1:] if arguments is None else arguments
    command = next((word for word in given if not word.startswith("-")), "")
    app = _application([command] if command in _COMMANDS else _COMMANDS)
    code = 0
    try:
        app(args=given, prog_name="fastcount")
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except OSError as error:
        code = _unprinted(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _unprinted(error)
    return code


def _mend_streams() -> None:
    """Streams that were closed take nothing, and names that are no text of theirs are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _unprinted(error: OSError) -> int:
    """The exit status where nobody takes what is still to be printed; other errors go on."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC):
        raise error
    if error.errno == errno.ENOSPC:
        print(f"fastcount: standard output: {error.strerror}", file=sys.stderr)
    # Or Python would try again when it ends, and end with 120.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
