"""How often a change mirrors what a run is shown."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset


def mirrored(moved: Dataset, still: Dataset, axis: int, number: int = 40) -> int:
    """How many of the first pictures of ``moved`` are those of ``still``, mirrored along ``axis``.

    Each is that or the same, to the last bit.
    """
    times = 0
    for n in range(number):
        image, before = moved[n][0], still[n][0]
        if not torch.equal(image, before):
            assert torch.equal(image, before.flip(axis))
            times += 1
    return times
