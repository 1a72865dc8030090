"""RAZ-Net's regions for tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcount.runtime import regions


def propose_regions(attention: Tensor, **options: Any) -> Tensor:
    """(R, 4) int64 of :func:`fastcount.runtime.regions.propose_regions`, on the device of
    ``attention`` (H, W). ``options`` and errors are that function's."""
    found = regions.propose_regions(attention.detach().double().cpu().numpy(), **options)
    return torch.from_numpy(found).to(attention.device)
