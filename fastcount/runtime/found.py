"""From the fixed-size tensors of an exported graph to what was found in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcount.runtime.description import Description
from fastcount.runtime.engine import TileResult
from fastcount.runtime.native import nms

# Of a model that does not locate objects these are its density's peaks, for other readers.
_LOCATIONS = frozenset({"boxes", "points", "scores", "labels", "found"})

# What a second network finds in parts of a picture is named so, and then as above.
AGAIN = "zoomed_"


def outputs_read(names: list[str], description: Description) -> list[str]:
    """Those of a file's outputs ``names`` that its countings are made of, the second network's
    left out."""
    own = [name for name in names if not name.startswith(AGAIN)]
    return [name for name in own if description.locates or name not in _LOCATIONS]


def outputs_read_again(names: list[str]) -> list[str]:
    """Those of a file's outputs ``names`` that the second network gives."""
    return [name for name in names if name.startswith(AGAIN)]


def tile_results(
    outputs: Mapping[str, NDArray[Any]],
    description: Description,
) -> list[TileResult]:
    """The outputs of a network by name, as one result a picture.

    ``count``: (B,). ``std``: (B,). ``density``: (B, 1, h, w). ``per_class``: (B, C). ``boxes``:
    (B, K, 4), ``points``: (B, K, 2), ``scores`` and ``labels``: (B, K), of which the first
    ``found`` (B,) are objects. A network has some of these.

    Raises ``ValueError`` where more than K were found, for a count without them would be wrong, and
    where scores were no numbers.
    """
    read = {name: outputs[name] for name in outputs_read(list(outputs), description)}
    number = len(next(iter(read.values())))
    return [
        _result({name: values[place] for name, values in read.items()}, description)
        for place in range(number)
    ]


def _result(own: dict[str, NDArray[Any]], description: Description) -> TileResult:
    if description.locates:
        own |= _located(own, description)
    density, labels = own.get("density"), own.get("labels")
    per_class = own.get("per_class")
    if labels is not None:
        per_class = np.bincount(labels, minlength=len(description.classes))
    count = float(own["count"]) if "count" in own else float(len(own["scores"]))
    return TileResult(
        count=count,
        std=float(own["std"]) if "std" in own else None,
        density=None if density is None else np.asarray(density[0], np.float32),
        stride=None if density is None else description.stride,
        points=own.get("points"),
        scores=own.get("scores"),
        boxes=own.get("boxes"),
        labels=labels,
        per_class=None
        if per_class is None
        else {name: float(each) for name, each in zip(description.classes, per_class, strict=True)},
    )


def _located(own: dict[str, NDArray[Any]], description: Description) -> dict[str, NDArray[Any]]:
    """The objects alone, and points where there are boxes only."""
    number, most = int(own["found"]), len(own["scores"])
    if number < 0:
        raise ValueError(
            "the network's scores are not numbers here: its weights are spoilt, or this picture "
            "needs more than half precision; export the model without it"
        )
    if number > most:
        raise ValueError(
            f"this file hands out at most {most} candidates of objects for each input, and one "
            f"holds {number}; count in smaller tiles, or export the model with --most {number}"
        )
    names = [name for name in ("boxes", "points", "scores", "labels") if name in own]
    objects: dict[str, NDArray[Any]] = {name: own[name][:number] for name in names}
    if "labels" in objects:
        objects["labels"] = objects["labels"].astype(np.int64)
    if "boxes" in objects:
        boxes, labels = objects["boxes"], objects["labels"]
        if description.overlap is None:  # as PyTorch gives them: class by class
            keep = np.argsort(labels, kind="stable")
        else:
            keep = nms(boxes, objects["scores"], labels, description.overlap)
        objects = {name: values[keep] for name, values in objects.items()}
        boxes = objects["boxes"]
        objects["points"] = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.float32(0.5)
    return objects
