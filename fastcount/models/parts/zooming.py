"""Cutting regions out of a picture, enlarging them, and bringing back what was found there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastcount.runtime.zooming import ZOOM


class Located(NamedTuple):
    """Points found in one picture: (N, 2) float32 x, y in pixel indices, and (N,) scores."""

    points: Tensor
    scores: Tensor


def zoomed_batches(image: Tensor, regions: Tensor) -> Iterator[tuple[list[int], Tensor]]:
    """The ``regions`` (R, 4) of ``image`` (3, H, W), enlarged twice, bilinear.

    Those of one size come as one batch: pairs of their numbers and (N, 3, 2h, 2w).
    """
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    corners = regions.tolist()
    for number, (x1, y1, x2, y2) in enumerate(corners):
        by_size[y2 - y1, x2 - x1].append(number)
    for numbers in by_size.values():
        boxes = [corners[number] for number in numbers]
        cut = torch.stack([image[:, y1:y2, x1:x2] for x1, y1, x2, y2 in boxes])
        large = F.interpolate(cut, scale_factor=ZOOM, mode="bilinear", align_corners=False)
        yield numbers, large


def into_region(points: Tensor, region: Tensor) -> Tensor:
    """(N, 2) pixel indices of the picture as those of the enlarged ``region`` (4,)."""
    # pixel centres: an index plus a half is a length
    return (points - region[:2] + 0.5) * ZOOM - 0.5


def out_of_region(points: Tensor, region: Tensor) -> Tensor:
    """The inverse of :func:`into_region`."""
    return (points + 0.5) / ZOOM - 0.5 + region[:2]


def replace_inside(found: Located, regions: Tensor, inner: list[Located]) -> Located:
    """``found`` with the points inside each of ``regions`` (R, 4) replaced by those of ``inner``.

    A place that several regions cover belongs to the first of them, so that nothing is there
    twice; the points of the others that lie there are left out.
    """
    parts = [found, *inner]
    kept = []
    for number, part in enumerate(parts):
        low, high = regions[:, :2] - 0.5, regions[:, 2:] - 0.5
        points = part.points[:, None]
        covered = ((points >= low) & (points < high)).all(dim=2)  # (N, R)
        if number == 0:
            kept.append(~covered.any(dim=1))
        else:
            kept.append(covered[:, number - 1] & ~covered[:, : number - 1].any(dim=1))
    return Located(
        torch.cat([part.points[keep] for part, keep in zip(parts, kept, strict=True)]),
        torch.cat([part.scores[keep] for part, keep in zip(parts, kept, strict=True)]),
    )
