"""What a data set hands out: one picture with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors


class Sample(TypedDict):
    """One picture and what is in it, in types that ``torchvision.transforms.v2`` moves along.

    ``image``: (3, H, W) uint8 RGB. ``count``: the number of objects, as annotated. ``id``: unique
    within its data set. ``points``: (N, 2) float32 x, y in pixel indices, the centre of the
    top-left pixel being (0, 0); points outside the picture stay in, since they count; absent
    where only a count is known. ``boxes``: (N, 4) float32 x1, y1, x2, y2 in torchvision's edge
    coordinates, in which the top-left pixel covers [0, 1] x [0, 1]; the centre of a box in pixel
    indices is therefore its middle minus 0.5. ``labels``: (N,) int64 class of each object, an
    index into the data set's ``classes``.
    """

    image: tv_tensors.Image
    count: float
    id: str
    points: NotRequired[tv_tensors.KeyPoints]
    boxes: NotRequired[tv_tensors.BoundingBoxes]
    labels: NotRequired[Tensor]


@dataclass(frozen=True, eq=False)
class Annotation:
    """The truth of one picture without the picture; fields as in :class:`Sample`, in NumPy."""

    count: float
    points: NDArray[np.float32] | None = None  # (N, 2)
    boxes: NDArray[np.float32] | None = None  # (N, 4)
    labels: NDArray[np.int64] | None = None  # (N,)

    @classmethod
    def of_points(
        cls, points: NDArray[np.floating], labels: NDArray[np.int64] | None = None
    ) -> Annotation:
        """Every point is one object."""
        points = _finite(points).reshape(-1, 2)
        return cls(count=float(len(points)), points=points, labels=labels)

    @classmethod
    def of_boxes(cls, boxes: NDArray[np.floating], labels: NDArray[np.integer]) -> Annotation:
        """Every box is one object, and its centre that object's point."""
        boxes = _finite(boxes).reshape(-1, 4)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        return cls(
            count=float(len(boxes)),
            points=(middles - 0.5).astype(np.float32),
            boxes=boxes,
            labels=np.asarray(labels, dtype=np.int64).reshape(-1),
        )


def _finite(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """As float32; ``ValueError`` for what is none."""
    with np.errstate(over="ignore"):
        found = np.asarray(values, dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("a coordinate is not finite, or beyond float32; mend the annotation")
    return found
