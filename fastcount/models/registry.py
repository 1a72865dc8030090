"""Models by name."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from fastcount.models.base import CountingModel

# Each registers itself in the module of its name, which is imported when the model is built:
# the detectors' bring torchvision, whose import takes as long as counting a picture.
_BUILT_IN = (
    "cannet",
    "centernet",
    "countseg",
    "csrnet",
    "deepcount",
    "density_fpn",
    "faster_rcnn",
    "fcos",
    "foveabox",
    "leaf_detection",
    "leaf_joint",
    "leaf_msr",
    "leaf_regression",
    "mcnn",
    "raznet",
    "retinanet",
    "yolov5",
)
_MODELS: dict[str, type[CountingModel]] = {}

M = TypeVar("M", bound=type[CountingModel])


def register(name: str) -> Callable[[M], M]:
    """Class decorator: makes a model known to :func:`create_model` as ``name``."""

    def add(cls: M) -> M:
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is registered already: {_MODELS[name]}")
        cls.name = name
        _remember_arguments(cls)
        _MODELS[name] = cls
        return cls

    return add


def _remember_arguments(cls: type[CountingModel]) -> None:
    """Has each model of ``cls`` keep in ``config`` what it was built with."""
    build = cls.__init__
    signature = inspect.signature(build)

    @functools.wraps(build)
    def build_and_remember(self: CountingModel, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        config = signature.bind(self, *args, **kwargs).arguments
        del config[next(iter(config))]  # self
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                config |= config.pop(name, {})
        # The weights are in the file that is written later; only the shape must be built again.
        config.pop("weights", None)
        self.config = config

    cls.__init__ = build_and_remember  # type: ignore[method-assign]


def list_models() -> list[str]:
    """The names that :func:`create_model` takes, sorted."""
    return sorted({*_BUILT_IN, *_MODELS})


def create_model(name: str, *, weights: str | None = None, **config: Any) -> CountingModel:
    """Builds the model ``name``. Nothing is fetched unless ``weights`` asks for it.

    Raises ``ValueError`` for an unknown name, ``TypeError`` for an argument that the model does
    not take.
    """
    if name in _BUILT_IN:
        importlib.import_module(f"fastcount.models.{name}")
    try:
        cls = _MODELS[name]
    except KeyError:
        raise ValueError(
            f"name: no model is called {name!r}; the models are {', '.join(list_models())}"
        ) from None
    if weights is not None:
        config["weights"] = weights
    return cls(**config)
