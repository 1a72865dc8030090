from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cross_label(points: Tensor | Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Every pixel of every cross in turn."""
    sets = [points] if isinstance(points, Tensor) else list(points)
    height, width = size
    device = sets[0].device if sets else None
    label = torch.zeros(len(sets), 1, height, width, device=device)
    for image, each in enumerate(sets):
        for x, y in each.tolist():
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                continue
            col, row = int(x + 0.5), int(y + 0.5)
            for right, down in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
                if 0 <= col + right < width and 0 <= row + down < height:
                    label[image, 0, row + down, col + right] = 1.0
    return label
