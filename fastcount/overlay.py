"""Draws a counting over its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from fastcount.pictures import MAX_PIXELS, PictureSource, open_picture
from fastcount.zones import as_polygon, clip

if TYPE_CHECKING:
    from fastcount.counting import Counting

# Blue, violet, red, orange, yellow: lightness rises all along, so it also reads in grey.
_HEAT = np.array(
    [(20, 30, 120), (110, 20, 160), (205, 40, 90), (250, 130, 30), (255, 240, 110)], np.float64
)
_CLASSES = (
    *((0, 230, 255), (255, 90, 60), (120, 255, 60), (255, 210, 0), (255, 80, 220)),
    *((90, 140, 255), (255, 160, 120), (0, 255, 170)),
)
_OPACITY = 0.72  # of the heat where it is strongest
_BRIGHTEST = 0.995  # quantile of the occupied cells that gets the strongest heat
_ROWS = 256  # of the picture blended at a time


def draw(counting: Counting, image: PictureSource, zones: Sequence[ArrayLike] = ()) -> Image.Image:
    """``image`` as RGB with the density as heat, boxes, points, zones and the count drawn over it.

    Raises as :meth:`fastcount.Counting.overlay` does.
    """
    counted = counting.size[0] * counting.size[1]
    picture = open_picture(image, max_pixels=max(counted, MAX_PIXELS)).copy()
    if picture.shape[:2] != tuple(counting.size):
        raise ValueError(
            f"image: is {picture.shape[1]}x{picture.shape[0]} pixels, but the counting is of a "
            f"picture of {counting.size[1]}x{counting.size[0]}; pass the picture that was counted"
        )
    if counting.density is not None:
        _blend_heat(picture, counting.density, counting.cell)
    result = Image.fromarray(picture)
    canvas = ImageDraw.Draw(result)
    scale = max(1.0, min(counting.size) / 700)
    if counting.boxes is not None:
        for number, box in enumerate(counting.boxes.tolist()):
            x1, y1, x2, y2 = (edge - 0.5 for edge in box)  # edges to pixel indices
            corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            canvas.rectangle(corners, outline=_colour(counting, number), width=round(1.5 * scale))
    if counting.points is not None:
        _draw_points(canvas, counting, scale)
    for polygon in zones:
        _draw_zone(canvas, counting, polygon, scale)
    _write_count(canvas, counting)
    return result


def _colour(counting: Counting, number: int) -> tuple[int, int, int]:
    label = 0 if counting.labels is None else int(counting.labels[number])
    return _CLASSES[label % len(_CLASSES)]


def _draw_points(canvas: ImageDraw.ImageDraw, counting: Counting, scale: float) -> None:
    points = counting.points
    assert points is not None
    # As large as fits a crowd without circles covering one another.
    room = np.sqrt(counting.size[0] * counting.size[1] / max(1, len(points)))
    radius = float(np.clip(room / 6, 2.0, 5.0 * scale))
    line = max(1, round(radius / 3))
    for number, (x, y) in enumerate(points.tolist()):
        outer = (x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1)
        canvas.ellipse(outer, outline=(0, 0, 0), width=line + 2)
        inner = (x - radius, y - radius, x + radius, y + radius)
        canvas.ellipse(inner, outline=_colour(counting, number), width=line)


def _draw_zone(
    canvas: ImageDraw.ImageDraw, counting: Counting, polygon: ArrayLike, scale: float
) -> None:
    """The outline, and the zone's count in the middle of what the picture shows of it."""
    text = _written(counting, counting.zone(polygon))
    picture = np.array(counting.size[::-1], np.float64)  # width, height
    line = max(1, round(1.5 * scale))
    # Cut off beyond the border, where the new edges are out of sight: corners may be far away.
    beyond = line + 2
    corners = clip(as_polygon(polygon) + 0.5 + beyond, picture + 2 * beyond) - 0.5 - beyond
    if not len(corners):
        return
    outline = [(x, y) for x, y in (*corners, corners[0])]
    canvas.line(outline, fill=(0, 0, 0), width=line + 2, joint="curve")
    canvas.line(outline, fill=(255, 255, 255), width=line, joint="curve")
    seen = corners.clip(0, picture - 1)
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
    font = ImageFont.load_default(float(np.clip(picture.min() / 24, 9, 70)))
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font, anchor="mm")
    room = np.array([right - left, bottom - top]) / 2 + beyond
    if (2 * room > picture).any():
        return  # a picture too small to write on
    x, y = middle.clip(room, picture - room)
    canvas.text(
        (x, y), text, (255, 255, 255), font, "mm", stroke_width=line + 1, stroke_fill=(0, 0, 0)
    )


def _blend_heat(
    picture: NDArray[np.uint8], density: NDArray[np.float32], cell: tuple[float, float]
) -> None:
    """Mixes the heat into ``picture`` in place, a band of rows at a time."""
    height, width = picture.shape[:2]
    positive = density[density > 0]
    if not len(positive):
        return
    # A cell counts as occupied above a thousandth of the greatest: the rest is a network's noise.
    occupied = positive[positive > positive.max() * 1e-3]
    strongest = float(np.quantile(occupied, _BRIGHTEST))
    # Square root: single heads stay visible beside a dense block.
    level = np.sqrt(np.clip(density / strongest, 0, 1)).astype(np.float32)
    steps = np.linspace(0, 1, len(_HEAT))
    table = np.arange(256) / 255
    colours = np.stack([np.interp(table, steps, _HEAT[:, c]) for c in range(3)], axis=1)
    opacity = _OPACITY * np.clip(table * 2.2 - 0.1, 0, 1)
    heat = Image.fromarray(level)
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        box = (0.0, top / cell[0], width / cell[1], bottom / cell[0])
        box = (0.0, box[1], min(box[2], level.shape[1]), min(box[3], level.shape[0]))
        band = heat.resize((width, bottom - top), Image.Resampling.BICUBIC, box=box)
        index = (np.asarray(band).clip(0, 1) * 255).astype(np.uint8)
        mix = opacity[index][:, :, None].astype(np.float32)
        mixed = picture[top:bottom] * (1 - mix) + colours[index].astype(np.float32) * mix
        picture[top:bottom] = np.rint(mixed).astype(np.uint8)


def _write_count(canvas: ImageDraw.ImageDraw, counting: Counting) -> None:
    height, width = counting.size
    text = _written(counting, counting.count)
    if counting.std is not None:
        text += f" ± {counting.std:.1f}"
    size = float(np.clip(min(height, width) / 14, 9, 120))
    font = ImageFont.load_default(size)
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    pad = size * 0.35
    if right - left + 4 * pad > width or bottom - top + 4 * pad > height:
        return  # a picture too small to write on
    panel = (pad, pad, pad + (right - left) + 2 * pad, pad + (bottom - top) + 2 * pad)
    canvas.rounded_rectangle(panel, radius=pad, fill=(16, 18, 24))
    canvas.text((2 * pad - left, 2 * pad - top), text, font=font, fill=(255, 255, 255))


def _written(counting: Counting, count: float) -> str:
    """``count`` as text: whole where ``counting`` has points alone, or where it is large."""
    exact = counting.density is None and counting.points is not None
    if exact or abs(count) >= 100:
        return f"{count:.0f}"
    return f"{count:.1f}".removesuffix(".0")
