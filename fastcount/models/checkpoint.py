"""A model in one file: weights, how to build it again, and its card. Nothing in it is executed.

The file is safetensors. Its metadata has one entry, ``fastcount``, a JSON document
``{"format": 1, "model": name, "config": {...}, "card": {...}}``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fastcount.files import atomic_path
from fastcount.models.base import CountingModel
from fastcount.models.registry import create_model

FORMAT = 1
_KEY = "fastcount"


def save_model(
    model: CountingModel, path: str | os.PathLike[str], *, card: dict[str, Any] | None = None
) -> None:
    """Writes ``model`` to ``path``, in one step: nobody sees half a file.

    ``card`` says what the model is: data, terms, results; anything JSON holds. Without it the
    model's own ``card`` is kept. Raises ``TypeError`` where ``card`` or the
    model's ``config`` holds what JSON does not, ``OSError`` where nothing can be written.
    """
    document = {
        "format": FORMAT,
        "model": model.name,
        "config": model.config,
        "card": model.card if card is None else card,
    }
    try:
        metadata = {_KEY: json.dumps(document)}
    except TypeError as error:
        raise TypeError(f"card, config: {error}; use numbers, text, lists and dicts") from error
    # A copy each: safetensors takes neither strided views nor two names for one memory.
    state = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    try:
        with atomic_path(path) as temporary:
            save_file(state, temporary, metadata)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error


def load_model(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> CountingModel:
    """The model that :func:`save_model` wrote to ``path``, in evaluation mode on ``device``.

    Its ``card`` is the saved one. Weights saved in half precision come back in float32.
    Nothing is fetched. Raises ``FileNotFoundError`` for no file, ``ValueError`` for one that
    is not such a file, or whose weights do not fit the model that it names or are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: no file {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        whole = path.suffix == ".safetensors"
        cure = "copy or download it again" if whole else "give the one that training wrote"
        raise ValueError(
            f"path: {path} is not a whole safetensors file ({error}); {cure}"
        ) from error
    document = _document(path, metadata)
    try:
        model = create_model(document["model"], **document["config"])
        model.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"path: {path} does not fit this fastcount: {error}") from error
    for name, values in model.named_parameters():
        if not bool(torch.isfinite(values).all()):  # a detector would just find nothing
            raise ValueError(
                f"path: {name} in {path} holds values that are not finite: the training diverged "
                "or the file is spoilt; take an earlier checkpoint"
            )
    model.card = document["card"]
    return model.to(device).eval()


def _document(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ValueError(
            f"path: {path} does not say which model it holds; write it with "
            "fastcount.models.checkpoint.save_model"
        )
    try:
        document = json.loads(metadata[_KEY])
        config, name = dict(document["config"]), str(document["model"])
        found, card = document["format"], dict(document["card"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"path: the description inside {path} is broken: {error!r}") from error
    if found != FORMAT:
        raise ValueError(
            f"path: {path} is of format {found!r}, this fastcount reads {FORMAT}; "
            "install the fastcount that wrote it"
        )
    if "weights" in config:  # a file from elsewhere must not make us fetch anything
        raise ValueError(f"path: the config inside {path} asks for weights of its own")
    return {"model": name, "config": config, "card": card}
