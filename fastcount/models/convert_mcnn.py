"""Public MCNN weights (``.h5`` of the PyTorch rebuilds) as a state of our MCNN."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcount.models.mcnn import COLUMNS, MCNN

# Those columns are sequences of 0 conv, 1 pool, 2 conv, 3 pool, 4 conv, 5 conv, each
# convolution with its ReLU; ours count the ReLUs as layers: conv 0, 3, 6, 8.
_PLACES = {0: 0, 2: 3, 4: 6, 5: 8}


def _names() -> dict[str, str]:
    """Their name of each array to ours."""
    names = {}
    for part in ("weight", "bias"):
        for column in range(len(COLUMNS)):
            for theirs, ours in _PLACES.items():
                public = f"DME.branch{column + 1}.{theirs}.conv.{part}"
                names[public] = f"columns.{column}.{ours}.{part}"
        names[f"DME.fuse.0.conv.{part}"] = f"fuse.{part}"
    return names


def convert_mcnn(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """A state for :class:`~fastcount.models.mcnn.MCNN` from the public file at ``path``.

    Those networks see grey from 0 to 255, ours from 0 to 1: the first layers' weights are
    multiplied by 255, which is the same function. Needs ``h5py`` (``fastcount[convert]``).
    Raises ``ValueError`` for a file that is not HDF5 or whose arrays are other than MCNN's 26
    without batch norm, by name and shape.
    """
    path = Path(path)
    found = _read(path)
    names = _names()
    if set(found) != set(names):
        lacking = sorted(set(names) - set(found))
        surplus = sorted(set(found) - set(names))
        raise ValueError(
            f"path: {path} is not a known MCNN layout: lacks {lacking[:3]}, has unknown "
            f"{surplus[:3]} ({len(lacking)} and {len(surplus)} in all)"
        )
    state = {ours: found[theirs] for theirs, ours in names.items()}
    for name, tensor in MCNN().state_dict().items():
        if state[name].shape != tensor.shape:
            raise ValueError(
                f"path: in {path} {name} has shape {tuple(state[name].shape)}, "
                f"MCNN's is {tuple(tensor.shape)}"
            )
    for column in range(len(COLUMNS)):
        state[f"columns.{column}.0.weight"] = state[f"columns.{column}.0.weight"] * 255.0
    return state


def load_public_mcnn(path: str | os.PathLike[str]) -> MCNN:
    """An :class:`~fastcount.models.mcnn.MCNN` with the public weights at ``path``, to evaluate."""
    model = MCNN()
    model.load_state_dict(convert_mcnn(path))
    return model.eval()


def _read(path: Path) -> dict[str, Tensor]:
    import h5py  # only conversion needs it

    arrays: dict[str, Tensor] = {}

    def take(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name] = torch.from_numpy(node[()]).float()

    if not path.is_file():
        raise FileNotFoundError(f"path: no file {path}")
    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except OSError as error:
        raise ValueError(f"path: {path} is not an HDF5 file ({error})") from error
    return arrays
