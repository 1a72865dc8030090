"""What a count is made of: the result type of every model and engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcount.zones import as_polygon, coverage, inside

if TYPE_CHECKING:
    from PIL import Image

    from fastcount.pictures import PictureSource


@dataclass(frozen=True, eq=False)
class Counting:
    """What was counted in one picture.

    ``count``: number of objects, fractional where the model sums a density. ``size``: (H, W) of
    the picture in pixels. ``std``: standard error of ``count``, None where the model has none.
    ``density``: (h, w) objects a cell, of ``stride`` pixels a cell; a pair (vertical, horizontal)
    where the picture was scaled unevenly to fit a network. Cell (u, v) covers the pixels
    [u * stride, (u + 1) * stride) x [v * stride, (v + 1) * stride), clipped to the picture.
    ``points``: (N, 2) x, y in pixel indices, with ``scores`` (N,). ``boxes``: (N, 4) x1, y1, x2,
    y2 in edge coordinates, as torchvision's: the top-left pixel covers [0, 1] x [0, 1], so the
    centre of a box in pixel indices is its middle minus 0.5. ``labels``: (N,) class of each point
    or box. ``per_class``: count by class name.

    Raises ``ValueError`` naming the field whose shape does not fit the others.
    """

    count: float
    size: tuple[int, int]
    std: float | None = None
    density: NDArray[np.float32] | None = None
    stride: float | tuple[float, float] | None = None
    points: NDArray[np.float32] | None = None
    scores: NDArray[np.float32] | None = None
    boxes: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None
    per_class: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 0:
            raise ValueError(f"size: expected (height, width) in pixels, got {self.size}")
        if self.density is not None:
            if self.density.ndim != 2:
                raise ValueError(f"density: expected the shape (h, w), got {self.density.shape}")
            if self.stride is None or min(self.cell) <= 0:
                raise ValueError(
                    f"stride: expected the pixels a cell of density, got {self.stride}"
                )
        if self.points is not None and self.points.shape != (len(self.points), 2):
            raise ValueError(f"points: expected the shape (N, 2), got {self.points.shape}")
        if self.boxes is not None and self.boxes.shape != (len(self.boxes), 4):
            raise ValueError(f"boxes: expected the shape (N, 4), got {self.boxes.shape}")
        found = [len(each) for each in (self.points, self.boxes) if each is not None]
        if len(set(found)) > 1:
            raise ValueError(
                f"points, boxes: {found[0]} points but {found[1]} boxes; give one of each an object"
            )
        for name in ("scores", "labels"):
            values = getattr(self, name)
            if values is not None and values.shape != (max(found, default=len(values)),):
                raise ValueError(
                    f"{name}: expected one for each of {max(found, default=0)} objects, "
                    f"got {values.shape}"
                )

    @property
    def cell(self) -> tuple[float, float]:
        """Height and width of a cell of ``density`` in pixels; (0, 0) where there is none."""
        stride = self.stride or 0.0
        return stride if isinstance(stride, tuple) else (stride, stride)

    def zone(self, polygon: ArrayLike) -> float:
        """The objects inside ``polygon``: (K, 2) corners x, y in pixel indices, K >= 3.

        From a density: the sum of its cells, each weighted by the share of its area (within the
        picture) that lies inside. That is exact for the polygon; inside a cell the objects are
        taken to be spread evenly. Otherwise: the number of points, or of centres of boxes, inside.
        A polygon that holds the picture gives ``density.sum()``. The picture reaches from -0.5
        to W - 0.5 and H - 0.5; what a polygon covers beyond it adds nothing.

        Raises ``ValueError`` where ``polygon`` is no polygon or crosses itself, and where this
        counting is a mere total.
        """
        corners = as_polygon(polygon)
        if self.density is not None:
            share = coverage(corners, self.density.shape, self.cell, self.size)
            return float((self.density * share).sum(dtype=np.float64))
        centres = self.centres()
        if centres is None:
            raise ValueError(
                "zone: this model gives one number for the whole picture, with neither density "
                "nor points; count the cut-out instead, or use a model that has them"
            )
        return float(np.count_nonzero(inside(corners, centres)))

    def centres(self) -> NDArray[np.float64] | None:
        """(N, 2) x, y of each object in pixel indices: its point, or the centre of its box.

        None where there is neither.
        """
        if self.points is not None:
            return self.points.astype(np.float64)
        if self.boxes is not None:
            corners = self.boxes.astype(np.float64)
            return (corners[:, :2] + corners[:, 2:]) / 2 - 0.5
        return None

    def overlay(self, image: PictureSource, zones: Sequence[ArrayLike] = ()) -> Image.Image:
        """``image`` with the density as heat, points, boxes and the count drawn over it.

        ``zones``: polygons as :meth:`zone` takes them, each drawn as its outline with its count.

        Raises ``ValueError`` where ``image`` is not of this counting's ``size``, and for zones as
        :meth:`zone` does.
        """
        from fastcount.overlay import draw

        return draw(self, image, zones)

    def to_dict(self, *, density: bool = False) -> dict[str, Any]:
        """Plain numbers, lists and strings, fit for JSON; but for ``points`` what is None is left
        out.

        The density map is long, so it is left out but for its stride; ``density=True`` adds it
        as a list of rows.
        """
        values: dict[str, Any] = {"count": _number(self.count), "size": list(self.size)}
        if self.std is not None:
            values["std"] = _number(self.std)
        if self.density is not None:
            values["stride"] = list(self.stride) if isinstance(self.stride, tuple) else self.stride
            if density:
                values["density"] = self.density.tolist()
        values["points"] = None
        for name in ("points", "scores", "boxes", "labels"):
            array = getattr(self, name)
            if array is not None:
                values[name] = _rounded(array.tolist())
        if self.per_class is not None:
            values["per_class"] = {key: _number(each) for key, each in self.per_class.items()}
        return values


def _number(value: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return float(value) if math.isfinite(value) else None


def _rounded(values: Sequence[Any]) -> list[Any]:
    """Floats to 4 digits behind the point: a ten-thousandth of a pixel, half the text."""
    return [
        _rounded(value)
        if isinstance(value, list)
        else (round(value, 4) if isinstance(value, float) else value)
        for value in values
    ]
