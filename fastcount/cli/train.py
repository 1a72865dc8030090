"""``fastcount train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastcount.cli.messages import FAILED, WRONG_USAGE, leave


def train(
    entries: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG... [KEY=VALUE]...",
            help="YAML files, see recipes, run one after the other; entries of theirs to replace.",
        ),
    ],
) -> None:
    """Train a model as CONFIG says, or go on where an earlier run was stopped.

    Prints the path of each model file. Exit status: 0 done, 1 failed, 2 wrong usage.
    """
    from fastcount.training import run

    # A file may have a = in its path, and an entry to replace is no file.
    overrides = [entry for entry in entries if "=" in entry and not _is_file(entry)]
    configs = [Path(entry) for entry in entries if entry not in overrides]
    if not configs:
        leave(
            "CONFIG: name at least one YAML file; there is no file among "
            f"{', '.join(overrides)}, so all are taken for KEY=VALUE",
            WRONG_USAGE,
        )
    for config in configs:
        if not config.is_file():
            leave(f"CONFIG: there is no file {config}", WRONG_USAGE)
    for config in configs:
        try:
            path = run(config, overrides)
        except ValueError as error:
            leave(str(error), WRONG_USAGE)
        except (OSError, ImportError, FloatingPointError) as error:
            leave(str(error), FAILED)
        typer.echo(path)


def _is_file(entry: str) -> bool:
    try:
        return Path(entry).is_file()
    except OSError:  # longer than a name can be
        return False
