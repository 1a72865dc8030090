"""Rendered nuclei under a fluorescence microscope, each where it fell: over others, too."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from fastcount.data.rendered import Rendered, Scene
from fastcount.data.textures import noise

_BLUE = np.array([0.02, 0.02, 1.0])  # DAPI and Hoechst, the stains of most
_STAINS = np.array([[0.1, 1.0, 0.15], [1.0, 0.15, 0.1], [1.0, 1.0, 1.0]])


def render_nuclei(seed: int, size: int = 256) -> Scene:
    """A picture (size, size, 3) uint8 and the (N, 2) middles of its nuclei.

    Their places are independent of each other, as those of cells in a thin smear: some lie apart,
    some so close that only their common outline tells. Nearer ones cover those below. Each is in
    focus or out of it; those of one picture share size, stain and light.
    """
    rng = np.random.default_rng([seed, 3])
    radius = rng.uniform(3.5, 6.0)
    number = int(np.exp(rng.uniform(np.log(0.08), np.log(0.4))) * (size / radius) ** 2 / np.pi)
    y, x = np.mgrid[:size, :size].astype(np.float64)
    lamp, reach = rng.uniform(0, size, 2), rng.uniform(0.3, 1.0) * size
    light = np.exp(-((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2) / (2 * reach**2))
    canvas = rng.uniform(0.0, 0.1) + rng.uniform(0.0, 0.25) * light
    canvas += rng.uniform(0, 0.05) * noise(rng, size, 1.5)
    middles = rng.uniform(0, size - 1, (number, 2))
    blurs = rng.uniform(0.4, 0.9) + rng.uniform(0.0, 2.0) * rng.random(number)
    tones = rng.uniform(0.35, 0.7) + rng.uniform(0.1, 0.3) * rng.random(number)
    for (cx, cy), blur, tone in zip(middles, blurs, tones, strict=True):
        own = radius * rng.uniform(0.85, 1.15)
        window = _window(cx, cy, 1.5 * own + 4 * blur, size)
        dx, dy = x[window] - cx, y[window] - cy
        angle = np.arctan2(dy, dx)
        outline = own * np.ones_like(angle)
        for waves in (2, 3):
            outline += own * rng.normal(0, 0.05) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
        cover = 1 / (1 + np.exp((np.hypot(dx, dy) - outline) / (0.6 * blur)))
        canvas[window] += cover * (tone - canvas[window])
    stain = _BLUE
    if rng.random() < 0.5:
        stain = _STAINS[rng.integers(3)] if rng.random() < 0.6 else rng.uniform(0.1, 1.0, 3)
    picture = canvas[..., None] * stain
    picture += rng.normal(scale=rng.uniform(0, 0.02), size=(size, size, 1))
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8), middles.astype(np.float32)


def _window(x: float, y: float, reach: float, size: int) -> tuple[slice, slice]:
    low, high = int(max(0, y - reach)), int(min(size, y + reach + 1))
    left, right = int(max(0, x - reach)), int(min(size, x + reach + 1))
    return slice(low, high), slice(left, right)


class Nuclei(Rendered):
    """``nuclei:?pictures=100&size=256&seed=0``: rendered on demand, never stored."""

    name: ClassVar[str] = "nuclei"
    classes = ("nucleus",)

    def __init__(
        self, root: str | Path = "", *, pictures: int = 100, size: int = 256, seed: int = 0
    ) -> None:
        if pictures < 1 or size < 32:
            raise ValueError(f"pictures, size: need at least 1 and 32, got {pictures} and {size}")
        super().__init__(root, pictures, size, seed)

    def render(self, index: int) -> Scene:
        return render_nuclei(self.seed + index, self.size)
