"""The weights that a run begins from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from fastcount.models import CountingModel
from fastcount.models.checkpoint import load_model
from fastcount.shipped import shipped_names, shipped_path
from fastcount.training.config import Config


def begin_from(model: CountingModel, start: str, output: Path) -> dict[str, Any]:
    """Gives ``model`` the weights of the one that ``start`` names, and returns that one's card.

    Raises ``ValueError`` where there is none of that name, or its weights do not fit.
    """
    run = output / start / f"{start}.safetensors"
    path = next((p for p in (Path(start), run, shipped_path(start)) if p.is_file()), None)
    if path is None:
        raise ValueError(
            f"start: {start} is neither a model file nor a run in {output} nor a shipped model "
            f"({', '.join(shipped_names())})"
        )
    other = load_model(path)
    try:
        model.load_state_dict(other.state_dict())
    except RuntimeError:
        raise ValueError(
            f"start: the weights in {path} do not fit the model: it holds {other.name} "
            f"{other.config}, not {model.name} {model.config}; "
            f"{_difference(other.state_dict(), model.state_dict())}"
        ) from None
    return other.card


def other_split(config: Config, card: dict[str, Any]) -> str | None:
    """What to tell of a run that may validate on what the model of ``card`` was trained on.

    None where it cannot, or where the card does not say how its run split its pictures. By one
    seed the validation pictures of a smaller share are among those of a greater.
    """
    share, seed = card.get("validation"), card.get("validation_seed")
    if share is None or (config.validation <= share and config.validation_seed == seed):
        return None
    return (
        f"validation: {config.validation} by validation_seed {config.validation_seed}, where "
        f"{config.start} kept {share} by {seed}: pictures that both runs have may have been "
        "trained on, and the validation error be too low; give both runs the same two"
    )


def _difference(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """How two sets of weights differ, with a few of their names."""
    shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    groups: dict[str, list[str]] = {
        "missing": [name for name in wanted if name not in given],
        "too many": [name for name in given if name not in wanted],
        "of another shape": shapes,
    }
    return "; ".join(
        f"{len(names)} {what} ({_few(names)})" for what, names in groups.items() if names
    )


def _few(names: Iterable[str], most: int = 3) -> str:
    known = list(names)
    return ", ".join(known[:most] + ["..."] * (len(known) > most))
