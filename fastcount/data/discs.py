"""Rendered discs of any size, tone and texture on any ground: round things to learn to count."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from fastcount.data.rendered import Rendered, Scene
from fastcount.data.textures import noise, texture_tone


def render_discs(seed: int, *, size: int = 384, most: int = 150) -> Scene:
    """A picture (size, size, 3) uint8 and the (N, 2) centres of its discs, 0 <= N <= ``most``.

    Discs of one picture are alike (mean radius, tone, relief), those of two pictures are not:
    brighter or darker than the ground, flat, shaded or patterned, apart or touching.
    """
    rng = np.random.default_rng([seed, 1])
    ground = texture_tone(rng, int(rng.integers(5)), size) if rng.random() < 0.5 else 0.0
    canvas = rng.uniform(0.05, 0.25) * np.broadcast_to(ground, (size, size))
    slope = rng.uniform(-0.25, 0.25, 2)
    y, x = np.mgrid[:size, :size] / size
    canvas = canvas + rng.uniform(0.2, 0.8) + slope[0] * y + slope[1] * x

    radius = np.exp(rng.uniform(np.log(5), np.log(45)))
    spread = rng.uniform(0.0, 0.25)
    room = 0.5 * (size / (2.2 * radius)) ** 2
    wanted = int(rng.integers(0, max(2, min(most, int(room)) + 1)))
    contrast = rng.uniform(0.12, 0.6) * rng.choice([-1, 1], p=[0.3, 0.7])
    relief, rim, touch = rng.uniform(0, 0.35), rng.uniform(-0.3, 0.3), rng.uniform(0.85, 1.1)
    pattern = noise(rng, size, rng.uniform(0.6, 1.6)) - 0.5

    centres: list[tuple[float, float]] = []
    radii: list[float] = []
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    for _ in range(20 * wanted):
        if len(centres) == wanted:
            break
        cx, cy = rng.uniform(0, size - 1, 2)
        r = radius * float(np.exp(rng.normal(scale=spread)))
        if any(
            np.hypot(cx - a, cy - b) < touch * (r + s)
            for (a, b), s in zip(centres, radii, strict=True)
        ):
            continue
        centres.append((cx, cy))
        radii.append(r)
        top, bottom = max(0, int(cy - r - 2)), min(size, int(cy + r + 3))
        left, right = max(0, int(cx - r - 2)), min(size, int(cx + r + 3))
        window = slice(top, bottom), slice(left, right)
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.15)
        dx, dy = columns[window] - cx, rows[window] - cy
        along = (np.cos(angle) * dx + np.sin(angle) * dy) / stretch
        across = (np.cos(angle) * dy - np.sin(angle) * dx) * stretch
        distance = np.hypot(along, across)
        cover = np.clip(r + 0.5 - distance, 0, 1)
        edge = np.exp(-(((r - distance) / (0.12 * r + 1)) ** 2))
        tone = contrast * rng.uniform(0.75, 1.25) + rim * edge + relief * pattern[window]
        canvas[window] += cover * tone
    picture = canvas[..., None] * (1 + rng.uniform(-0.3, 0.3, 3) * (rng.random() < 0.6))
    picture += rng.normal(scale=rng.uniform(0, 0.05), size=(size, size, 1))
    points = np.asarray(centres, dtype=np.float32).reshape(-1, 2)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8), points


class Discs(Rendered):
    """``discs:?pictures=100&size=384&most=150&seed=0``: rendered on demand, never stored."""

    name: ClassVar[str] = "discs"
    classes = ("disc",)

    def __init__(
        self,
        root: str | Path = "",
        *,
        pictures: int = 100,
        size: int = 384,
        most: int = 150,
        seed: int = 0,
    ) -> None:
        if pictures < 1 or size < 64 or most < 1:
            raise ValueError(
                f"pictures, size, most: need at least 1, 64 and 1, got {pictures}, {size}, {most}"
            )
        super().__init__(root, pictures, size, seed)
        self._most = most

    def render(self, index: int) -> Scene:
        return render_discs(self.seed + index, size=self.size, most=self._most)
