"""The points that tests of density maps draw."""

from __future__ import annotations

import torch

SIZE = (37, 53)


def random_points(count: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Points of which some lie outside the picture."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return (unit * 1.2 - 0.1) * torch.tensor([size[1], size[0]], dtype=torch.float64) - 0.5
