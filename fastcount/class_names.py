"""Whether the class numbers of a model and of a data set mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

UNNAMED = ("object",)  # of models and data sets that tell no classes apart


def by_class(model: Sequence[str], data: Sequence[str]) -> bool:
    """Whether both tell classes apart: a model of one class counts everything."""
    return len(model) > 1 and tuple(data) != UNNAMED


def require_same_classes(model: Sequence[str], data: Sequence[str], dataset: str) -> None:
    """Raises ``ValueError`` where a number means one class to the model and another in the data.

    The model may have more classes than the data set, at the end. ``dataset`` is what the message
    calls it.
    """
    if not by_class(model, data) or tuple(data) == tuple(model)[: len(data)]:
        return
    pairs = enumerate(zip_longest(model, data, fillvalue="none"))
    number, (own, other) = next(each for each in pairs if len(set(each[1])) > 1)
    raise ValueError(
        f"classes: number {number} is {own} in the model {_listed(model)} and "
        f"{other} in {dataset} {_listed(data)}; both need the same names in one order"
    )


def _listed(names: Sequence[str], most: int = 10) -> str:
    rest = [f"... ({len(names)})"] if len(names) > most else []
    return f"[{', '.join([*names[:most], *rest])}]"
