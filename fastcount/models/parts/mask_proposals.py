"""Proposals for object masks out of colours alone: regions at several scales, merged step by step.

Felzenszwalb and Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004, for the
regions; the merging after Uijlings et al., Selective Search for Object Recognition, IJCV 2013.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def propose_masks(
    image: NDArray[np.uint8],  # (H, W, 3)
    *,
    scales: Sequence[float] = (50.0, 100.0, 200.0, 400.0),
    least: float = 0.001,
    most: float = 0.9,
    limit: int = 600,
) -> NDArray[np.bool_]:
    """(N, H, W) masks that may be objects, none twice, N <= ``limit``.

    At each of ``scales`` (of Felzenszwalb's segmentation: larger gives larger regions) the
    regions, and what comes out when the two most alike neighbours are merged again and again,
    until one region is left. ``least`` and ``most``: areas as shares of the picture. Where there
    are more than ``limit``, those of the later merges stay, the largest.

    Raises ``ImportError`` where scikit-image is not installed, ``ValueError`` for an image that
    is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: need (H, W, 3) uint8, got {image.shape} {image.dtype}")
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError:
        raise ImportError(
            "mask proposals need scikit-image: pip install scikit-image, or give proposals"
        ) from None
    area = image.shape[0] * image.shape[1]
    smallest = max(4, round(least * area))
    seen: dict[bytes, NDArray[np.bool_]] = {}
    for scale in scales:
        labels = felzenszwalb(image, scale=scale, sigma=0.8, min_size=smallest)
        for members in _merged(labels, image):
            mask: NDArray[np.bool_] = members[labels]
            if smallest <= int(mask.sum()) <= most * area:
                seen.setdefault(np.packbits(mask).tobytes(), mask)
    masks = sorted(seen.values(), key=lambda mask: -int(mask.sum()))[:limit]
    return np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), dtype=bool)


def _merged(labels: NDArray[np.intp], image: NDArray[np.uint8]) -> Iterator[NDArray[np.bool_]]:
    """Which regions (n,) belong to each mask: first each alone, then each merger's result.

    Neighbours are alike where their mean colours are near, and the smaller both are: so small
    ones go first and no one grows by swallowing the rest one by one.
    """
    number = int(labels.max()) + 1
    flat = labels.ravel()
    size = np.bincount(flat, minlength=number).astype(np.float64)
    sums = [np.bincount(flat, image[..., c].ravel(), minlength=number) for c in range(3)]
    colour: NDArray[np.float64] = np.stack(sums, axis=1) / (255.0 * size[:, None])
    size /= flat.size  # shares of the picture
    members = np.eye(number, dtype=bool)
    near = _neighbours(labels, number)
    yield from members.copy()
    # np.inf where there is nothing to merge
    distance = np.full((number, number), np.inf)
    for a in range(number):
        distance[a] = np.where(near[a], _unlike(a, colour, size), np.inf)
    for _ in range(number - 1):
        a, b = divmod(int(distance.argmin()), number)
        if not np.isfinite(distance[a, b]):
            return
        colour[a] = (size[a] * colour[a] + size[b] * colour[b]) / (size[a] + size[b])
        size[a] += size[b]
        members[a] |= members[b]
        near[a] |= near[b]
        near[a, [a, b]] = False
        near[b] = False
        near[:, b] = False
        near[:, a] = near[a]
        distance[b] = distance[:, b] = np.inf
        distance[a] = np.where(near[a], _unlike(a, colour, size), np.inf)
        distance[:, a] = distance[a]
        yield members[a].copy()


def _unlike(a: int, colour: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) how unlike region ``a`` and each other are: colour distance and share of the area."""
    unlike: NDArray[np.float64] = np.linalg.norm(colour - colour[a], axis=1) + size + size[a]
    return unlike


def _neighbours(labels: NDArray[np.intp], number: int) -> NDArray[np.bool_]:
    """(n, n) whether two regions touch, sides only."""
    near = np.zeros((number, number), dtype=bool)
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        near[one.ravel(), other.ravel()] = True
    near |= near.T
    np.fill_diagonal(near, False)
    return near
