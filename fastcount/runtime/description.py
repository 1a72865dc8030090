"""What an exported network says of itself, inside its file and in the JSON file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fastcount.runtime.tiling import Tiling

FORMAT = 1
KEY = "fastcount"  # name of the entry in a file's metadata

Precision = Literal["fp32", "fp16", "bf16", "int8"]
Locates = Literal["points", "boxes"]


@dataclass(frozen=True)
class Zoom:
    """How RAZ-Net looks again into parts of a picture, see :mod:`fastcount.runtime.zooming`.

    ``theta``: of the fusion of points and density, a row for each of the grid's; None where the
    points alone are counted. ``depth``: networks that look at a place, the first one included.
    """

    theta: tuple[tuple[float, ...], ...] | None
    depth: int = 2


@dataclass(frozen=True)
class Description:
    """All that counting with an exported network takes besides its weights.

    ``model``: its architecture; ``classes``: what it counts. ``tiling``: how pictures are cut for
    it. ``stride``: pixels a cell of its density, None where it gives a mere count. ``batch``:
    pictures at once, None for any number; ``size``: (H, W) of its input, None for any multiple
    of ``tiling.align``. ``card``: what the model file said of data, terms and results.
    ``locates``: which of its outputs says where the objects are, None where the model does not
    tell. ``overlap``: of two boxes of one class with a higher intersection over union the less
    sure one is left out, None where all stay. ``zoom``: set where the file holds a second network,
    for enlarged parts of a picture.
    """

    model: str
    tiling: Tiling
    stride: int | None
    classes: tuple[str, ...] = ("object",)
    precision: Precision = "fp32"
    batch: int | None = None
    size: tuple[int, int] | None = None
    card: dict[str, Any] = field(default_factory=dict)
    locates: Locates | None = None
    overlap: float | None = None
    zoom: Zoom | None = None

    def to_json(self) -> str:
        """One JSON document; :meth:`from_json` reads it."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str | Path) -> Description:
        """The description written by :meth:`to_json`; ``where`` names its file in errors.

        Raises ``ValueError`` for anything else, and for another format.
        """
        try:
            document = json.loads(text)
            found = document.pop("format")
            if found == FORMAT:
                tiling = dict(document.pop("tiling"))
                tiling["tile"] = _pair(tiling["tile"])
                red, green, blue = tiling["fill"]
                tiling["fill"] = (int(red), int(green), int(blue))
                size = document.pop("size")
                zoom = document.pop("zoom", None)
                if zoom is not None:
                    theta = zoom["theta"]
                    zoom = Zoom(
                        None if theta is None else tuple(map(tuple, theta)), int(zoom["depth"])
                    )
                return cls(
                    tiling=Tiling(**tiling),
                    classes=tuple(document.pop("classes")),
                    size=None if size is None else _pair(size),
                    zoom=zoom,
                    **document,
                )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{where}: its description is broken ({error!r}); export the model again"
            ) from error
        raise ValueError(
            f"{where}: is of format {found!r}, this fastcount reads {FORMAT}; "
            "export the model again, or install the fastcount that wrote it"
        )


def sidecar(path: Path) -> Path:
    """Where the description of the exported file ``path`` lies beside it."""
    return path.with_name(path.name + ".json")


def read_sidecar(path: Path) -> Description:
    """The description beside ``path``; raises ``ValueError`` where there is none."""
    beside = sidecar(path)
    try:
        text = beside.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be used without its description {beside.name} beside it ({error}); "
            "export the model again"
        ) from error
    return Description.from_json(text, beside)


def _pair(values: Any) -> tuple[int, int]:
    height, width = values
    return int(height), int(width)
