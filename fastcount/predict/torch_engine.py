"""A model under PyTorch as an engine."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fastcount.counting import Counting
from fastcount.models.base import CountingModel
from fastcount.runtime.engine import Engine, TileResult
from fastcount.runtime.tiling import Tiling


class TorchEngine(Engine):
    """Runs ``model`` under ``inference_mode`` in float32, channels last.

    Takes the model over: it is moved to ``device``, put into evaluation mode, and batch norms
    that follow a convolution directly are folded into it, which saves a pass over each map.
    """

    def __init__(self, model: CountingModel, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        fold_batch_norm(self.model)
        self.model.to(memory_format=torch.channels_last)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def tiling(self) -> Tiling:
        return self.model.tiling

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.classes

    def run(
        self,
        batch: NDArray[np.uint8],  # (B, h, w, 3) RGB
    ) -> list[TileResult]:
        """One result a tile, in order."""
        with torch.inference_mode():
            # (B, h, w, 3) in memory is (B, 3, h, w) channels last already.
            pixels = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)
            decoded = self.model.decode(self.model(pixels.to(torch.float32).div_(255)))
        return [_as_result(counting) for counting in decoded]


def fold_batch_norm(model: nn.Module) -> None:
    """Folds each batch norm into the convolution right before it in the same ``nn.Sequential``.

    Elsewhere what feeds a batch norm is known to ``forward`` alone, so it is left as it is.
    """
    for module in model.modules():
        if type(module).forward is not nn.Sequential.forward:
            continue
        assert isinstance(module, nn.Sequential)
        for place in range(1, len(module)):
            first, second = module[place - 1], module[place]
            # Exactly that class: those derived from it (timm's) do more than normalise.
            if isinstance(first, nn.Conv2d) and type(second) is nn.BatchNorm2d:
                module[place - 1] = fuse_conv_bn_eval(first, second)
                module[place] = nn.Identity()


def _as_result(counting: Counting) -> TileResult:
    if isinstance(counting.stride, tuple):
        raise ValueError("stride: a model's density has one stride for both directions")
    return TileResult(
        count=counting.count,
        std=counting.std,
        density=counting.density,
        stride=counting.stride,
        points=counting.points,
        scores=counting.scores,
        boxes=counting.boxes,
        labels=counting.labels,
        per_class=counting.per_class,
    )
