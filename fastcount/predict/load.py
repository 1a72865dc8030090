"""Counters by name."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from fastcount.models import list_models
from fastcount.models.checkpoint import load_model
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.shipped import shipped_names, shipped_path


def load_with_torch(name_or_path: str | os.PathLike[str], device: str | None = None) -> Counter:
    """A counter with the weights of a shipped model, ``"crowd"`` say, or of a model file.

    ``device``: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None takes CUDA where there is one. Nothing
    is fetched. Raises ``ValueError`` for a name that is not shipped, listing those that are, and
    for a device that is not there; ``FileNotFoundError`` for a path without a file.
    """
    return Counter(TorchEngine(load_model(find_weights(name_or_path)), _device(device)))


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """The model file that ``name_or_path`` means; raises as :func:`load_with_torch` does."""
    text = os.fspath(name_or_path)
    names = shipped_names()
    if text in names:
        return shipped_path(text)
    path = Path(text)
    if path.is_file():
        return path
    shipped = f"the shipped models are: {', '.join(names) or 'none in this installation'}"
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"name_or_path: there is no model file {path}; {shipped}")
    if text in list_models():
        raise ValueError(
            f"name_or_path: {text!r} is an architecture without weights; train it with "
            f"`fastcount train`, then give the path of the model file; {shipped}"
        )
    raise ValueError(
        f"name_or_path: no model is called {text!r}; {shipped}; or give the path of a model file"
    )


def _device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen).cpu()  # "meta" holds no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device: {device!r} cannot be used here ({reason}); use 'cpu', or run "
            "`fastcount doctor`"
        ) from error
    return chosen
