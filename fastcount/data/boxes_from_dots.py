"""Boxes for dots, so that a detector can learn from a data set that has dots alone.

The method of GTA_Head (section 4.1 of Zhong et al., Mask Focal Loss): somebody draws a few boxes
per scene, and every other object takes its size from the two that are nearest. For scenes where
nobody did, sizes are guessed from the distance between neighbours, or from perspective.

Points are pixel indices (N, 2), boxes edge coordinates (N, 4), sizes (N, 2) width and height.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from fastcount.data.base import CountingDataset, DatasetError, errors_of
from fastcount.data.texts import read_json
from fastcount.ops import knn_distance

Floats = NDArray[np.float64]

_LAYOUT = '{"scenes": [{"pictures": [...], "boxes": [[x1, y1, x2, y2], ...]}]}'


def preset_sizes(points: Floats, presets: Floats) -> Floats:
    """Sizes by linear interpolation between the two nearest of ``presets`` (K, 4), K >= 1.

    With d1, d2 the distances from the point to the middles of the two, its size is
    (d2 size1 + d1 size2) / (d1 + d2): that of a preset box at its middle. One preset box gives
    its size to all; two on one spot give their mean there.

    Raises ``ValueError`` for no preset box, or one without area.
    """
    presets = np.asarray(presets, dtype=np.float64).reshape(-1, 4)
    sides = presets[:, 2:] - presets[:, :2]
    if not len(presets) or not (np.isfinite(presets).all() and (sides > 0).all()):
        raise ValueError(
            "presets: need at least one box x1, y1, x2, y2 with x1 < x2 and y1 < y2, got "
            f"{presets.tolist()}"
        )
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(presets) == 1:
        return np.repeat(sides, len(points), axis=0)
    middles = (presets[:, :2] + presets[:, 2:]) / 2 - 0.5
    distance, nearest = cKDTree(middles).query(points, k=2)
    total = distance.sum(axis=1, keepdims=True)
    share = np.divide(distance, total, out=np.full_like(distance, 0.5), where=total > 0)
    sizes: Floats = share[:, 1:] * sides[nearest[:, 0]] + share[:, :1] * sides[nearest[:, 1]]
    return sizes


def neighbour_sizes(
    points: Floats, *, k: int = 3, factor: float = 0.6, low: float = 4.0, high: float = 64.0
) -> Floats:
    """Squares of ``factor`` x the mean distance to the ``k`` nearest others.

    Sides are kept within [``low``, ``high``] pixels; a point that is alone gets ``high``. Right
    where a crowd is dense; too large, up to ``high``, where people stand apart.

    Raises ``ValueError`` unless 0 < low <= high and factor > 0.
    """
    if not (0 < low <= high and factor > 0):
        raise ValueError(
            f"low, high, factor: need 0 < low <= high and factor > 0, got {low}, {high}, {factor}"
        )
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    distance = knn_distance(torch.from_numpy(points), k).numpy()
    side = np.clip(factor * distance, low, high)
    return np.repeat(side[:, None], 2, axis=1)


def perspective_sizes(
    points: Floats, *, k: int = 3, factor: float = 0.6, low: float = 4.0, high: float = 64.0
) -> Floats:
    """Squares whose side is linear in the row: upright objects on flat ground, seen level.

    The line is fitted to :func:`neighbour_sizes` so that outliers hardly pull it (soft L1), and
    kept within [``low``, ``high``]. A line that falls towards the camera, and fewer than three
    points, are no perspective: then all have the median.
    """
    guess = neighbour_sizes(points, k=k, factor=factor, low=low, high=high)[:, 0]
    if not len(guess):
        return np.zeros((0, 2))
    row = np.asarray(points, dtype=np.float64).reshape(-1, 2)[:, 1]
    scale = max(float(np.ptp(row)), 1.0)
    away = (row - row.mean()) / scale
    middle = float(np.median(guess))
    slope, base = 0.0, middle
    if len(guess) >= 3:
        found = least_squares(
            lambda line: line[0] * away + line[1] - guess,
            [0.0, middle],
            loss="soft_l1",
            f_scale=max(0.1 * middle, 1e-3),
        )
        if found.x[0] > 0:
            slope, base = (float(value) for value in found.x)
    side = np.clip(slope * away + base, low, high)
    return np.repeat(side[:, None], 2, axis=1)


def boxes_at(points: Floats, sizes: Floats) -> Floats:
    """Boxes (N, 4) of ``sizes`` about ``points``; they may reach beyond the picture."""
    middle = np.asarray(points, dtype=np.float64).reshape(-1, 2) + 0.5
    return np.concatenate([middle - sizes / 2, middle + sizes / 2], axis=1)


@dataclass(frozen=True)
class Presets:
    """Boxes that somebody drew, by scene.

    The file is ``{"scenes": [{"pictures": ["seq1/*", "IMG_7"], "boxes": [[x1, y1, x2, y2],
    ...]}]}``: ``pictures`` are names of the data set or patterns of them, boxes are in edge
    coordinates. A picture belongs to the first scene that names it.
    """

    scenes: tuple[tuple[tuple[str, ...], Floats], ...]

    @classmethod
    def read(cls, path: Path) -> Presets:
        """Raises :class:`DatasetError` where the file is missing or not as described."""
        content = read_json(path, name="presets", expected=_LAYOUT)
        with errors_of(str(path)):
            return cls.parse(content)

    @classmethod
    def parse(cls, content: Any) -> Presets:
        """From what such a file holds; raises :class:`DatasetError` where it is something else."""
        try:
            scenes = []
            for scene in content["scenes"]:
                boxes = np.array(scene["boxes"], dtype=np.float64)
                preset_sizes(np.zeros((0, 2)), boxes)  # raises where one is wrong
                if not isinstance(scene["pictures"], list):  # of text, each letter were a pattern
                    raise TypeError(f"pictures is {scene['pictures']!r:.200}, no list")
                scenes.append((tuple(str(name) for name in scene["pictures"]), boxes))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(
                f"presets: {type(error).__name__}: {error}; expected {_LAYOUT}"
            ) from error
        return cls(tuple(scenes))

    def place_of(self, name: str) -> int | None:
        """Which scene the picture ``name`` belongs to; None where no scene has it."""
        for place, (patterns, _) in enumerate(self.scenes):
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return place
        return None

    def of(self, name: str) -> Floats | None:
        """The preset boxes (K, 4) of the picture ``name``; None where no scene has it."""
        place = self.place_of(name)
        return None if place is None else self.scenes[place][1]


def boxes_for(points: Floats, presets: Floats | None, method: str, **options: Any) -> Floats:
    """Boxes (N, 4) for the dots of one picture: from ``presets`` where there are, else guessed.

    ``options``: of :func:`neighbour_sizes` or :func:`perspective_sizes`. Raises ``ValueError``
    for another method.
    """
    guesses = {"neighbours": neighbour_sizes, "perspective": perspective_sizes}
    if method not in guesses:
        raise ValueError(f"method: need one of {', '.join(guesses)}, got {method!r}")
    if presets is not None:
        return boxes_at(points, preset_sizes(points, presets))
    return boxes_at(points, guesses[method](points, **options))


def _from(folder: Path, file: Path) -> str:
    """The way to ``file`` from ``folder``, which may be reached by a link: ``..`` leads from where
    it really is."""
    place = file.parent.resolve() / file.name
    return Path(os.path.relpath(place, folder.resolve())).as_posix()


def coco_document(
    dataset: CountingDataset,
    boxes: Sequence[Floats | None],
    sizes: Sequence[tuple[int, int] | None],
    folder: Path,
) -> dict[str, Any]:
    """The boxes of each picture as COCO's JSON, for a file in ``folder``.

    ``sizes``: (H, W) of each picture. A picture that has None is left out. ``file_name`` is
    relative to ``folder``. Dots outside their picture keep their box, since they count.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, (found, size) in enumerate(zip(boxes, sizes, strict=True)):
        if found is None or size is None:
            continue
        images.append(
            {
                "id": index + 1,
                "file_name": _from(folder, dataset.path(index)),
                "height": size[0],
                "width": size[1],
            }
        )
        labels = dataset.annotation(index).labels
        for place, (x1, y1, x2, y2) in enumerate(np.asarray(found, dtype=np.float64).tolist()):
            category = 0 if labels is None else int(labels[place])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": category + 1,
                    "bbox": [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)],
                    "area": round((x2 - x1) * (y2 - y1), 3),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(dataset.classes)]
    return {"images": images, "categories": categories, "annotations": annotations}
