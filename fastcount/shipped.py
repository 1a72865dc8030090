"""The models that come with the package. Imports no PyTorch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True)
class ShippedModel:
    """A file in the package's ``weights``: its name, place, architecture and card."""

    name: str
    path: Path
    architecture: str
    card: dict[str, Any]


def shipped_names() -> list[str]:
    """What :func:`fastcount.load` takes besides a path, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def shipped_path(name: str) -> Path:
    """Where the weights of ``name`` lie."""
    return FOLDER / f"{name}.safetensors"


def shipped_export(name: str) -> Path | None:
    """The same model as an ONNX file, where it is shipped as one too."""
    path = FOLDER / f"{name}.onnx"
    return path if path.is_file() else None


def shipped_models() -> list[ShippedModel]:
    """Every shipped model; a file that cannot be read raises ``ValueError`` naming it."""
    models = []
    for name in shipped_names():
        path = shipped_path(name)
        document = read_document(path)
        models.append(
            ShippedModel(name, path, str(document.get("model")), dict(document.get("card", {})))
        )
    return models


def read_document(path: Path) -> dict[str, Any]:
    """What a model file says of itself; its weights are not read.

    Raises ``ValueError`` where ``path`` is not a whole file of this package's making.
    """
    from safetensors import SafetensorError, safe_open  # here: names are known without

    try:
        with safe_open(path, framework="numpy") as file:
            document = json.loads(file.metadata()["fastcount"])
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        SafetensorError,
    ) as error:
        raise ValueError(f"{path}: is not a model file of fastcount ({error})") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path}: is not a model file of fastcount (no description)")
    return document
