"""Rendered night skies: to a counter of people, stars and galaxies are nobody."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcount.data.rendered import RenderedEmpty
from fastcount.data.textures import noise

_BLUE, _RED = np.array([0.55, 0.75, 1.0]), np.array([1.0, 0.6, 0.35])


def render_night_sky(seed: int, size: int = 512) -> NDArray[np.uint8]:
    """Blobs of all sizes, shapes and tints on black: (size, size, 3) uint8, the same for the same
    seed."""
    rng = np.random.default_rng([seed, 2])
    sky = rng.uniform(0.02, 0.1) * np.repeat(
        noise(rng, size, rng.uniform(0.3, 1.2))[..., None], 3, 2
    )
    density = np.exp(rng.uniform(np.log(3e-4), np.log(8e-3)))  # a pixel
    gain = np.exp(rng.uniform(np.log(0.15), np.log(0.8)))
    for _ in range(int(density * size * size)):
        length = min(0.5 * (1 + rng.pareto(1.6)), 14.0)
        flat, angle = rng.uniform(0.25, 1.0), rng.uniform(0, np.pi)
        cx, cy = rng.uniform(0, size, 2)
        reach = 6 * length
        top, bottom = max(0, int(cy - reach)), min(size, int(cy + reach) + 1)
        left, right = max(0, int(cx - reach)), min(size, int(cx + reach) + 1)
        y, x = np.arange(top, bottom)[:, None], np.arange(left, right)
        along = np.cos(angle) * (x - cx) + np.sin(angle) * (y - cy)
        across = np.cos(angle) * (y - cy) - np.sin(angle) * (x - cx)
        radius = np.hypot(along, across / flat) / length
        profile = np.exp(-radius) if rng.random() < 0.5 else np.exp(-(radius**2))
        tint = _BLUE + rng.random() * (_RED - _BLUE)
        light = min(gain * (1 + rng.pareto(1.2)), 3.0)
        sky[top:bottom, left:right] += light * profile[..., None] * tint
    sky += rng.normal(scale=rng.uniform(0, 0.03), size=(size, size, 1))
    return (np.clip(sky, 0, 1) * 255).astype(np.uint8)


class NightSkies(RenderedEmpty):
    """``night_skies:?count=100&size=512&seed=0``: rendered pictures whose count is zero."""

    name: ClassVar[str] = "night_skies"

    def scenery(self, seed: int, size: int) -> NDArray[np.uint8]:
        return render_night_sky(seed, size)
