"""Whether a model can be trained on crops of a size."""

from __future__ import annotations

import copy

import torch

from fastcount.models import CountingModel


def require_crop(model: CountingModel, crop: tuple[int, int]) -> None:
    """Raises ``ValueError`` where ``model`` takes no pictures of ``crop`` (height, width) pixels.

    Tiles and padding see to it that a picture of any size can be counted; a crop goes into the
    model as it is. One that takes pictures whole is not trained on crops.
    """
    tiling = model.tiling
    if tiling.mode == "resize" or crop == tiling.tile:
        return
    if tiling.mode == "overlap" and not any(side % tiling.align for side in crop):
        return
    try:
        with torch.no_grad():
            copy.deepcopy(model).eval()(torch.zeros(1, 3, *crop))
    except ValueError as error:
        cure = f"[{tiling.tile[0]}, {tiling.tile[1]}] alone"
        if tiling.mode == "overlap":
            whole = [-(-side // tiling.align) * tiling.align for side in crop]
            cure = f"sides that are multiples of {tiling.align}; {whole}, say"
        raise ValueError(f"crop: got {list(crop)}, and {model.name} takes {cure}") from error
