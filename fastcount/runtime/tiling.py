"""How a picture of any size is cut into pieces that a network takes, and put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tiling:
    """How a network wants its pictures.

    ``mode="overlap"``: a fully convolutional network. Pictures up to ``tile`` (height, width) go
    through whole, padded at the right and bottom to multiples of ``align`` with the colour
    ``fill``; larger ones are cut into tiles that overlap by ``margin`` pixels on each inner side,
    of which only the core is kept. ``margin`` should reach as far as the network sees.

    ``mode="grid"``: a network of one fixed input size. The picture is resized so that whole
    tiles of ``tile`` fit, and the counts of the tiles are added up (DeepCount's way).
    """

    mode: Literal["overlap", "grid"] = "overlap"
    tile: tuple[int, int] = (1536, 1536)
    margin: int = 128
    align: int = 8
    fill: tuple[int, int, int] = (124, 116, 104)
