"""Rendered pictures whose truth is exact: cells, and crowds of discs in perspective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fastcount.data.rendered import Rendered, Scene

Floats = NDArray[np.float64]
TRIES_PER_OBJECT = 400


@dataclass(frozen=True, eq=False)
class Rendering:
    """``image`` (H, W, 3) uint8, ``points`` (N, 2) x, y and ``radii`` (N,), in pixels."""

    image: NDArray[np.uint8]
    points: NDArray[np.float32]
    radii: NDArray[np.float32]


def render_cells(count: int, *, size: tuple[int, int], rng: np.random.Generator) -> Rendering:
    """Bright elliptic cells on a dark, uneven, noisy ground, as fluorescence shows them.

    ``count`` cells in a picture of ``size`` (H, W), their mean radius 1/40 of its shorter side
    and at least 2.5 pixels. Centres are at least one radius apart, so cells may overlap but
    each can be told. Raises ``ValueError`` where so many do not fit.
    """
    mean_radius = max(2.5, min(size) / 40)
    radii = mean_radius * rng.uniform(0.8, 1.25, count)

    def place(index: int) -> tuple[float, float, float]:
        x, y = rng.uniform(0, size[1] - 1), rng.uniform(0, size[0] - 1)
        return x, y, float(radii[index])

    points, radii = _scatter(count, size, place)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    slope = rng.uniform(-0.04, 0.04, 2)
    canvas = 0.12 + slope[0] * rows / size[0] + slope[1] * columns / size[1]
    for (x, y), radius in zip(points, radii, strict=True):
        window = _window(x, y, 2 * radius, size)
        dx, dy = columns[window] - x, rows[window] - y
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.35)
        along = (np.cos(angle) * dx + np.sin(angle) * dy) / stretch
        across = (-np.sin(angle) * dx + np.cos(angle) * dy) * stretch
        distance = np.hypot(along, across) / radius
        canvas[window] += rng.uniform(0.35, 0.7) * np.exp(-(distance**4))  # flat top, soft rim
    canvas += rng.normal(0, 0.02, size)
    tint = np.array([0.35, 0.6, 1.0])
    return Rendering(_to_bytes(canvas[..., None] * tint), points, radii.astype(np.float32))


def render_crowd(count: int, *, size: tuple[int, int], rng: np.random.Generator) -> Rendering:
    """Heads as discs on a ground plane seen in perspective: small and dense far off.

    ``count`` discs in a picture of ``size`` (H, W). A disc's radius grows linearly from 1/150
    of the height at the horizon (a fifth from the top) to 1/25 at the bottom, and at least 1.5
    pixels; near discs cover far ones, but no centre is covered. Raises ``ValueError`` where so
    many do not fit.
    """
    height, width = size
    horizon = 0.2 * height

    def place(_: int) -> tuple[float, float, float]:
        near, far = 1 / 25, 1 / 150
        # uniform on the ground: heads per pixel fall with the square of their size
        share = rng.uniform()
        scale = 1 / (share / near + (1 - share) / far)
        y = horizon + (scale - far) / (near - far) * (height - 1 - horizon)
        return rng.uniform(0, width - 1), y, max(1.5, scale * height)

    points, radii = _scatter(count, size, place)
    rows = np.arange(height, dtype=np.float64)[:, None, None] / height
    sky, ground = np.array([0.75, 0.82, 0.9]), np.array([0.45, 0.43, 0.4])
    canvas = np.where(rows < 0.2, sky, ground * (0.7 + 0.5 * rows)) * np.ones((1, width, 1))
    grid_y, grid_x = np.mgrid[0:height, 0:width].astype(np.float64)
    for index in np.argsort(points[:, 1], kind="stable"):  # far to near
        (x, y), radius = points[index], float(radii[index])
        window = _window(x, y, radius + 2, size)
        distance = np.hypot(grid_x[window] - x, grid_y[window] - y)
        skin = rng.uniform(0.25, 0.95) * np.array([1.0, 0.8, 0.65])
        shade = np.where(distance > 0.75 * radius, 0.45, 1.0)[..., None] * skin
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]  # the share of a pixel covered
        canvas[window] = cover * shade + (1 - cover) * canvas[window]
    canvas += rng.normal(0, 0.015, canvas.shape)
    return Rendering(_to_bytes(canvas), points, radii.astype(np.float32))


class Synthetic(Rendered):
    """``synthetic:?kind=cells&count=100&seed=0&size=256``: rendered on demand, never stored.

    ``kind``: cells or crowd. ``count``: objects in every picture; with ``least`` each picture
    has between ``least`` and ``count``, evenly drawn. ``pictures``: how many there are.
    ``size``: side of the square pictures, in pixels. Picture i depends on ``seed`` and i alone.
    """

    name: ClassVar[str] = "synthetic"

    def __init__(
        self,
        root: str | Path = "",
        *,
        kind: Literal["cells", "crowd"] = "cells",
        count: int = 100,
        least: int | None = None,
        pictures: int = 16,
        size: int = 256,
        seed: int = 0,
    ) -> None:
        if kind not in ("cells", "crowd"):
            raise ValueError(f"kind must be cells or crowd, not {kind!r}")
        if count < 0 or not 0 <= (count if least is None else least) <= count:
            raise ValueError(f"least and count must hold 0 <= least <= count, not {least}, {count}")
        if pictures < 1 or size < 16:
            raise ValueError(f"pictures, size: need at least 1 and 16, got {pictures} and {size}")
        super().__init__(root, pictures, size, seed)
        self._draw = {"cells": render_cells, "crowd": render_crowd}[kind]
        self._least, self._count = count if least is None else least, count
        self.classes = ({"cells": "cell", "crowd": "person"}[kind],)
        self.ids = tuple(f"{kind}_{seed}_{number:05d}" for number in range(pictures))

    def render(self, index: int) -> Scene:
        rng = np.random.default_rng([self.seed, index])
        count = int(rng.integers(self._least, self._count, endpoint=True))
        drawn = self._draw(count, size=(self.size, self.size), rng=rng)
        return drawn.image, drawn.points


def _scatter(
    count: int, size: tuple[int, int], place: Callable[[int], tuple[float, float, float]]
) -> tuple[NDArray[np.float32], Floats]:
    """``count`` points and radii drawn by ``place``, no centre within a larger neighbour's radius.

    Points are rounded to float32 before anything is drawn, so that the truth is what was drawn.
    """
    placed = np.zeros((count, 3))
    for index in range(count):
        for _ in range(TRIES_PER_OBJECT):
            x, y, radius = place(index)
            others = placed[:index]
            gap = np.hypot(others[:, 0] - x, others[:, 1] - y)
            if (gap > np.maximum(others[:, 2], radius) + 1).all():
                placed[index] = np.float32(x), np.float32(y), radius
                break
        else:
            raise ValueError(
                f"count {count} does not fit a picture of {size[0]} x {size[1]} pixels: only "
                f"{index} found room; ask for fewer or a larger size"
            )
    return placed[:, :2].astype(np.float32), placed[:, 2]


def _window(x: float, y: float, reach: float, size: tuple[int, int]) -> tuple[slice, slice]:
    """The pixels within ``reach`` of a point, as far as they are in the picture."""
    top, bottom = max(0, int(y - reach)), min(size[0], int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(size[1], int(x + reach) + 2)
    return slice(top, bottom), slice(left, right)


def _to_bytes(values: Floats) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
