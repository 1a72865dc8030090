"""Count things in pictures.

    import fastcount

    counter = fastcount.load("crowd")
    print(counter("street.jpg").count)

Importing this package imports neither PyTorch nor NumPy; each name below brings what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcount.counting import Counting
    from fastcount.loading import load
    from fastcount.models import create_model, list_models
    from fastcount.runtime import Counter

__version__ = "0.1.0"

__all__ = ["Counter", "Counting", "__version__", "create_model", "list_models", "load"]

_HOMES = {
    "Counter": "fastcount.runtime",
    "Counting": "fastcount.counting",
    "create_model": "fastcount.models",
    "list_models": "fastcount.models",
    "load": "fastcount.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastcount' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
