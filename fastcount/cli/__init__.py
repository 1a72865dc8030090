"""The command line. Each command is a file of its own, and imports PyTorch only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

import fastcount
from fastcount.cli.boxes import boxes
from fastcount.cli.count import count
from fastcount.cli.doctor import doctor
from fastcount.cli.eval import evaluate
from fastcount.cli.export import export
from fastcount.cli.models import models
from fastcount.cli.profile import profile
from fastcount.cli.train import train

app = typer.Typer(
    name="fastcount",
    help="Count things in pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("count")(count)
app.command("eval")(evaluate)
app.command("export")(export)
app.command("train")(train)
app.command("boxes")(boxes)
app.command("profile")(profile)
app.command("models")(models)
app.command("doctor")(doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(fastcount.__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Count things in pictures."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line ``arguments`` (those of the process by default).

    Returns 0 done, 1 some inputs failed, 2 wrong usage.
    """
    try:
        app(args=arguments, prog_name="fastcount")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    return 0
