"""``fastcount models``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fastcount.cli.messages import FAILED, leave, print_json, print_table


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the shipped models, with what their cards say, and the architectures to train."""
    from fastcount.models import list_models
    from fastcount.shipped import shipped_models

    try:
        shipped = shipped_models()
    except ValueError as error:
        leave(f"{error}; install fastcount again", FAILED)
    if as_json:
        print_json(
            {
                "shipped": [
                    {
                        "name": model.name,
                        "architecture": model.architecture,
                        "path": str(model.path),
                        "card": model.card,
                    }
                    for model in shipped
                ],
                "architectures": list_models(),
            }
        )
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("model", "architecture", "MB", "card"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for model in shipped:
        megabytes = f"{model.path.stat().st_size / 1e6:.1f}"
        table.add_row(model.name, model.architecture, megabytes, Text(_card(model.card)))
    print_table(
        table if shipped else "No weights are shipped with this installation.",
        f"\nArchitectures to train: {', '.join(list_models())}",
    )


def _card(card: dict[str, Any]) -> str:
    """One line an entry that says anything; lists and dictionaries flat."""
    return "\n".join(f"{key}: {_flat(value)}" for key, value in card.items() if value is not None)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_flat, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
