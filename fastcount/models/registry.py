"""Models by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastcount.models.base import CountingModel

_MODELS: dict[str, type[CountingModel]] = {}

M = TypeVar("M", bound=type[CountingModel])


def register(name: str) -> Callable[[M], M]:
    """Class decorator: makes a model known to :func:`create_model` as ``name``."""

    def add(cls: M) -> M:
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is registered already: {_MODELS[name]}")
        cls.name = name
        _MODELS[name] = cls
        return cls

    return add


def list_models() -> list[str]:
    """The names that :func:`create_model` takes, sorted."""
    return sorted(_MODELS)


def create_model(name: str, *, weights: str | None = None, **config: Any) -> CountingModel:
    """Builds the model ``name``. Nothing is fetched unless ``weights`` asks for it.

    Raises ``ValueError`` for an unknown name, ``TypeError`` for an argument that the model does
    not take.
    """
    try:
        cls = _MODELS[name]
    except KeyError:
        raise ValueError(
            f"name: no model is called {name!r}; the models are {', '.join(list_models())}"
        ) from None
    if weights is not None:
        config["weights"] = weights
    model = cls(**config)
    # The weights are in the file that is written later; only the shape must be built again.
    model.config = {key: value for key, value in config.items() if key != "weights"}
    return model
