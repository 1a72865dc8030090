"""Pictures of nothing: rendered textures and skies, to teach a counter what zero looks like."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from fastcount.data.rendered import RenderedEmpty

Map = NDArray[np.float64]


def noise(rng: np.random.Generator, size: int, roughness: float) -> Map:
    """Noise of all scales with power falling as frequency^-roughness, scaled to [0, 1]."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    noise = np.fft.irfft2(phases * frequency**-roughness, s=(size, size))
    scaled: Map = (noise - noise.min()) / np.ptp(noise)
    return scaled


def _clouds(rng: np.random.Generator, size: int) -> Map:
    return np.linspace(rng.random(), rng.random(), size)[:, None] + noise(rng, size, 1.8)


def _grain(rng: np.random.Generator, size: int) -> Map:
    return noise(rng, size, rng.uniform(0.3, 1.2))


def _blades(rng: np.random.Generator, size: int) -> Map:
    """Noise drawn out in one direction: grass, fur, wood, rain."""
    length, angle = rng.uniform(6, 40), rng.uniform(0, 180)
    drawn = ndimage.gaussian_filter(rng.normal(size=(2 * size, 2 * size)), (length, 1.0))
    turned = ndimage.rotate(drawn, angle, reshape=False, order=1)
    middle: Map = turned[size // 2 : size // 2 + size, size // 2 : size // 2 + size]
    return middle


def _pebbles(rng: np.random.Generator, size: int) -> Map:
    """Cells around random seeds, shaded towards their borders: gravel, cobbles, scales."""
    seeds = rng.random((int((size / rng.uniform(8, 60)) ** 2) + 3, 2)) * size
    grid = np.mgrid[:size, :size].reshape(2, -1).T
    distance, nearest = cKDTree(seeds).query(grid, 2)
    edge = distance[:, 1] - distance[:, 0]
    tone = rng.random(len(seeds))[nearest[:, 0]]
    shaded = np.minimum(edge / rng.uniform(2, 12), 1.0) * (0.3 + tone)
    pebbles: Map = shaded.reshape(size, size) + 0.3 * noise(rng, size, 1.0)
    return pebbles


def _stones(rng: np.random.Generator, size: int) -> Map:
    """Rounded stones of mixed sizes in a slanting light: the bright side of one meets the shadow
    of the next, as heads in a crowd do."""
    spacing = rng.uniform(7, 40)
    seeds = rng.random((int((size / spacing) ** 2) + 3, 2)) * size
    # fewer stones where a slow noise is high: neighbours of different size
    keep = rng.random(len(seeds)) > 0.8 * noise(rng, size, 2.0)[tuple(seeds.astype(int).T)]
    keep[:3] = True
    seeds = seeds[keep]
    grid = np.mgrid[:size, :size].reshape(2, -1).T
    distance, nearest = cKDTree(seeds).query(grid, 2)
    edge = (distance[:, 1] - distance[:, 0]) / (distance[:, 1] + distance[:, 0])
    height = np.sqrt(1 - (1 - np.minimum(edge * rng.uniform(1, 2), 1.0)) ** 2).reshape(size, size)
    height = ndimage.gaussian_filter(height, rng.uniform(0.3, 1.2))
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * np.gradient(height, axis=0) + np.sin(angle) * np.gradient(
        height, axis=1
    )
    light = np.clip(0.5 + rng.uniform(0.5, 2.5) * slope, 0, 1) * height ** rng.uniform(0, 1)
    tone = rng.uniform(0.4, 1, len(seeds))[nearest[:, 0]].reshape(size, size)
    stones: Map = light * tone + rng.uniform(0, 0.3) * noise(rng, size, 0.8)
    return stones


def _courses(rng: np.random.Generator, size: int) -> Map:
    """Bricks, tiles and window fronts."""
    height, width = rng.uniform(10, 80, 2)
    y, x = np.mgrid[:size, :size].astype(float)
    row = np.floor(y / height)
    column = np.floor((x + rng.choice([0.0, 0.5]) * width * (row % 2)) / width)
    joint = (y % height < 2) | ((x + 0.5 * width * (row % 2)) % width < 2)
    tone = rng.random(4096)[(row * 61 + column * 17).astype(int) % 4096]
    bricks: Map = np.where(joint, 1.2, tone) + 0.4 * noise(rng, size, 0.9)
    return bricks


_KINDS = (_clouds, _grain, _blades, _pebbles, _courses, _stones)


def texture_tone(rng: np.random.Generator, kind: int, size: int) -> Map:
    """A texture as (size, size) tones in [0, 1]; ``kind``: 0 clouds, 1 grain, 2 blades,
    3 pebbles, 4 courses, 5 stones."""
    tone = _KINDS[kind](rng, size)
    scaled: Map = (tone - tone.min()) / max(float(np.ptp(tone)), 1e-9)
    return scaled


def render_texture(seed: int, size: int = 512) -> NDArray[np.uint8]:
    """A picture without objects: (size, size, 3) uint8, the same for the same seed."""
    rng = np.random.default_rng(seed)
    tone = texture_tone(rng, seed % len(_KINDS), size)
    dark, light = rng.uniform(0, 0.5, 3), rng.uniform(0.5, 1, 3)
    if rng.random() < 0.4:  # as many real textures, hardly any colour
        dark, light = np.full(3, dark.mean()), np.full(3, light.mean())
    picture = dark + tone[..., None] * (light - dark)
    picture += rng.normal(scale=rng.uniform(0, 0.04), size=(size, size, 1))
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


class Textures(RenderedEmpty):
    """``textures:?count=100&size=512&seed=0``: rendered pictures whose count is zero."""

    name: ClassVar[str] = "textures"

    def scenery(self, seed: int, size: int) -> NDArray[np.uint8]:
        return render_texture(seed, size)
