"""Models small enough to export in a test, with weights by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastcount.models import CountingModel, create_model
from fastcount.models.parts.box_detector import BoxDetector
from fastcount.models.parts.pyramid import Backbone, BackbonePyramid

CONFIGS: dict[str, dict[str, Any]] = {
    "mcnn": {},
    "csrnet": {"width": 1 / 16},
    "cannet": {"width": 1 / 16},
    "density_fpn": {"width": 8, "depth": 1},
    "deepcount": {"width": 1 / 16, "branches": [2]},
}

_SMALL = {"backbone": "mobilenetv3_small_100"}
_LEAF = {**_SMALL, "size": (64, 96)}
_TWO = ["dark", "light"]
_PYRAMID = {**_SMALL, "levels": [3, 4], "channels": 32, "classes": _TWO}
# Models that tell more than a density, or something else.
OTHERS: dict[str, dict[str, Any]] = {
    "raznet": {"width": 1 / 16, "stage": "main"},
    "countseg": {**_SMALL, "classes": _TWO},
    "leaf_regression": _LEAF,
    "leaf_msr": {**_LEAF, "channels": 16},
    "leaf_detection": {**_LEAF, "channels": 16, "least_peak": 0.02},
    "leaf_joint": {**_LEAF, "channels": 16, "least_peak": 0.02},
    "centernet": {**_SMALL, "width": 16, "head_width": 16, "classes": _TWO},
    "fcos": _PYRAMID,
    "retinanet": {**_PYRAMID, "anchor_scale": 2.0},
    "foveabox": {**_PYRAMID, "scale": 2.0},
    "yolov5": {"size": "n", "classes": _TWO},
    "faster_rcnn": {**_SMALL, "levels": [2, 3, 4], "channels": 16, "proposals": 50},
}

PICTURE = np.random.default_rng(0).integers(0, 256, (75, 110, 3), np.uint8)
PICTURES = [("wide", PICTURE), ("tall", np.ascontiguousarray(PICTURE[:, :40]))]


def small_model(name: str) -> CountingModel:
    """Different in every place of the map, so that agreement means something."""
    torch.manual_seed(0)
    if name in OTHERS:
        model = _shrunk(create_model(name, **OTHERS[name])).eval()
        for part, module in model.named_modules():  # so that counts are above zero
            if isinstance(module, nn.Linear) and part.endswith("last"):
                nn.init.constant_(module.bias, 2.0)
            if name == "countseg" and part in ("category.2", "density.2"):
                assert isinstance(module, nn.Conv2d)
                assert module.bias is not None
                nn.init.constant_(module.bias, 0.5)
        return _some_found(model)
    model = create_model(name, **CONFIGS[name])
    last = [module for module in model.modules() if isinstance(module, nn.Conv2d)][-1]
    if name != "deepcount":
        nn.init.normal_(last.weight, std=0.3)
    return model.eval()


class _Maps(nn.Module):
    """In place of a backbone of a hundred layers, which takes seconds to trace: one a level."""

    def __init__(self, channels: dict[int, int], *, as_list: bool) -> None:
        super().__init__()
        self.as_list = as_list
        self.levels = nn.ModuleDict(
            {
                str(level): nn.Conv2d(3, n, 3, stride=2**level, padding=1)
                for level, n in channels.items()
            }
        )

    def forward(self, images: Tensor) -> Any:
        maps = {int(level): layer(images) for level, layer in self.levels.items()}
        return list(maps.values()) if self.as_list else maps


def _shrunk(model: CountingModel) -> CountingModel:
    for name in ("backbone", "pyramid"):
        part = getattr(model, name, None)
        if isinstance(part, BackbonePyramid):
            channels = dict.fromkeys(part.levels, part.fpn.layer_blocks[0][0].out_channels)
            setattr(model, name, _Maps(channels, as_list=True))
        elif isinstance(part, Backbone):
            setattr(model, name, _Maps(part.channels, as_list=False))
    return model


def _some_found(model: CountingModel) -> CountingModel:
    """With a detector's threshold between the scores that it gives, well apart from either."""
    if not isinstance(model, BoxDetector):
        return model
    with torch.no_grad():
        model.set_score_threshold(0.0)
        (found,) = model.detect(model(as_images(fitting(PICTURE))), 0.0)
    scores = found.scores.sort(descending=True).values[20:60]
    widest = int((scores[:-1] - scores[1:]).argmax())
    model.set_score_threshold(float(scores[widest] + scores[widest + 1]) / 2)
    return model


def fitting(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(64, 96, 3) of it: sides that every model takes."""
    return picture[:64, :96]


def as_images(picture: NDArray[np.uint8]) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
