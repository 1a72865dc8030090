"""Feature maps of any network that timm knows, where a paper's own backbone is too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimmFeatures(nn.Module):
    """The maps of ``strides`` pixels a cell of timm's network ``name``, as one.

    Those of larger strides are brought to the size of the first by bilinear interpolation and
    concatenated with it. ``weights="imagenet"`` fetches timm's pretrained weights; without it
    nothing is fetched.

    (B, 3, H, W), normalised, to (B, ``channels``, ceil(H / strides[0]), ceil(W / strides[0])).

    Raises ``ImportError`` where timm is not installed, ``ValueError`` for a name it does not
    know, a network without a map of one of ``strides``, and weights of another name.
    """

    channels: int

    def __init__(self, name: str, strides: Sequence[int], *, weights: str | None = None) -> None:
        super().__init__()
        if weights not in (None, "imagenet"):
            raise ValueError(
                f"weights: only 'imagenet' can be fetched, got {weights!r}; "
                "a saved model is loaded with fastcount.models.checkpoint.load_model"
            )
        try:
            import timm
        except ImportError:
            raise ImportError(f"backbone {name!r} is timm's: pip install timm") from None
        if not timm.is_model(name):
            raise ValueError(
                f"backbone: timm knows no {name!r}; timm.list_models() has the names, "
                "mobilenetv3_small_100 for one"
            )
        network: Any = timm.create_model(name, features_only=True)
        reductions = network.feature_info.reduction()
        if not set(strides) <= set(reductions):
            raise ValueError(
                f"backbone: {name} has maps of strides {sorted(set(reductions))}, "
                f"not all of {list(strides)}; choose another network"
            )
        # the deepest map of each stride
        places = [len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides]
        network = timm.create_model(
            name, features_only=True, out_indices=sorted(places), pretrained=weights is not None
        )
        self.network = network
        self.channels = sum(network.feature_info.channels())

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor
        first, *others = self.network(x)
        size = first.shape[-2:]
        larger = [
            F.interpolate(one, size=size, mode="bilinear", align_corners=False) for one in others
        ]
        return torch.cat([first, *larger], dim=1) if larger else first
