"""Pictures of bright spots, for every model's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fastcount.models import Target

Render = Callable[..., tuple[Tensor, list[Target]]]


def render_spots(
    counts: Sequence[int], size: tuple[int, int], *, seed: int = 0
) -> tuple[Tensor, list[Target]]:
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    images, targets = [], []
    for count in counts:
        points = torch.rand(count, 2, generator=generator) * torch.tensor([width - 9, height - 9])
        points += 4
        image = 0.15 + 0.05 * torch.rand(3, height, width, generator=generator)
        for px, py in points.tolist():
            image += 0.7 * torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 8.0)
        images.append(image.clamp(0, 1))
        targets.append(Target(count=float(count), points=points))
    return torch.stack(images), targets
