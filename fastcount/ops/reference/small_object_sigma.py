from __future__ import annotations

import math

import torch
from torch import Tensor


def small_object_sigma(boxes_wh: Tensor, *, eta: float = 1.0, epsilon: float = 6.0) -> Tensor:
    """Eq. 10 of the mask focal loss, one box after the other."""
    sigmas = []
    for width, height in boxes_wh.reshape(-1, 2).tolist():
        reach = 2 * min(width, height) + 1
        sigmas.append(reach * (1 + eta * math.exp(-reach)) / epsilon)
    flat = torch.tensor(sigmas, dtype=boxes_wh.dtype, device=boxes_wh.device)
    return flat.reshape(boxes_wh.shape[:-1])
