"""Feature maps of any network that timm knows, where a paper's own backbone is too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def feature_network(name: str, weights: str | None, **options: Any) -> Any:
    """timm's network ``name``, giving its feature maps. ``weights="imagenet"`` fetches timm's
    pretrained ones; None starts at random, and nothing is fetched.

    Raises ``ValueError`` for a name that timm does not know as such, and weights of another name.
    """
    if weights not in (None, "imagenet"):
        raise ValueError(
            f"weights: {name} can start from None or 'imagenet', got {weights!r}; "
            "a saved model is loaded with fastcount.models.checkpoint.load_model"
        )
    import timm  # only here: it takes seconds, and the density models do without

    pretrained = weights is not None
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, **options)
    except RuntimeError as error:
        raise ValueError(
            f"backbone: timm has no feature network {name!r} ({error}); "
            "timm.list_models() has the names, mobilenetv3_small_100 for one"
        ) from error


class TimmFeatures(nn.Module):
    """The maps of ``strides`` pixels a cell of timm's network ``name``, as one.

    Those of larger strides are brought to the size of the first by bilinear interpolation and
    concatenated with it. ``weights``: see :func:`feature_network`.

    (B, 3, H, W), normalised, to (B, ``channels``, ceil(H / strides[0]), ceil(W / strides[0])).

    Raises ``ValueError`` as :func:`feature_network` does, and for a network without a map of one
    of ``strides``.
    """

    channels: int

    def __init__(self, name: str, strides: Sequence[int], *, weights: str | None = None) -> None:
        super().__init__()
        network = feature_network(name, None)
        reductions = network.feature_info.reduction()
        if not set(strides) <= set(reductions):
            raise ValueError(
                f"backbone: {name} has maps of strides {sorted(set(reductions))}, "
                f"not all of {list(strides)}; choose another network"
            )
        # the deepest map of each stride
        places = [len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides]
        network = feature_network(name, weights, out_indices=sorted(places))
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
