"""``fastcount profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastcount.cli.messages import WRONG_USAGE, leave, print_json, print_table, say
from fastcount.cli.sizes import parse_size

if TYPE_CHECKING:
    from fastcount.models import CountingModel


def profile(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A shipped model, a model file or an architecture."),
    ],
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Height and width of the input in pixels.")
    ] = "384x512",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Parameters and multiply-accumulates of a model, layer by layer."""
    from fastcount.models.profile import profile_model

    sides = parse_size(size)
    try:
        # On "meta" shapes go through the network without any arithmetic.
        result = profile_model(_model(model).to("meta"), sides)
    except (ValueError, OSError) as error:
        leave(str(error), WRONG_USAGE)
    except RuntimeError as error:  # of PyTorch, where so many pixels have no number
        leave(f"--size {size}: {error}", WRONG_USAGE)
    if result.left_out:
        say(
            f"{result.left_out:,} parameters belong to layers that are not in the sum: they run on "
            "parts of a picture, as often as it holds any (a second stage, a second look), or not "
            "at all in the model's stage of training"
        )
    if as_json:
        print_json(result.to_dict())
    else:
        print_table(result.table())


def _model(name: str) -> CountingModel:
    from fastcount.models import create_model, list_models
    from fastcount.models.checkpoint import load_model
    from fastcount.predict.load import find_weights
    from fastcount.shipped import shipped_names

    if name in list_models() and name not in shipped_names():
        return create_model(name)
    return load_model(find_weights(name))
