"""The precision that losses are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` as they are, or in float32 where they are narrower: losses are sums of many small
    numbers."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
