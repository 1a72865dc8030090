"""``fastcount train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastcount.cli.messages import FAILED, WRONG_USAGE, leave


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file; see recipes.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Entries of CONFIG to replace."),
    ] = None,
) -> None:
    """Train a model as CONFIG says, or go on where an earlier run was stopped.

    Prints the path of the model file. Exit status: 0 done, 1 failed, 2 wrong usage.
    """
    from fastcount.training import run

    if not config.is_file():
        leave(f"CONFIG: there is no file {config}", WRONG_USAGE)
    try:
        path = run(config, overrides or [])
    except ValueError as error:
        leave(str(error), WRONG_USAGE)
    except (OSError, ImportError) as error:
        leave(str(error), FAILED)
    typer.echo(path)
