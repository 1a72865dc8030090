"""The models that come with the package. Imports no PyTorch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "weights"
_LONGEST_HEADER = 100_000_000  # what the safetensors format itself allows


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
    """What a model file says of itself, read from its head alone.

    A safetensors file begins with the length of its JSON header in 8 bytes, low byte first.
    Raises ``ValueError`` where ``path`` is not a file of this package's making.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(file.read(length))
        document = json.loads(header["__metadata__"]["fastcount"])
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ValueError(f"{path}: is not a model file of fastcount ({error})") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path}: is not a model file of fastcount (no description)")
    return document
