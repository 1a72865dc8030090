"""COCO's average precision beside the count, for ``fastcount eval``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastcount.cli.messages import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastcount.counting import Counting
    from fastcount.data.sample import Annotation
    from fastcount.metrics import BoxAP
    from fastcount.runtime.counter import Counter

_LEAST = 0.01  # the score from which on a detection is ranked


class BoxScores:
    """Gathers found and true boxes picture by picture; :meth:`result` is COCO's AP of all.

    The AP ranks detections that are too weak to count, too. So a detector under PyTorch is made to
    hand those out, and :meth:`counted` takes them off again. An exported one has its threshold in
    its graph; what it hands out is what is ranked. ``by_class``: whether a box must be found as
    what it is, not only where it is.
    """

    def __init__(self, counter: Counter, *, by_class: bool = True) -> None:
        self._by_class = by_class
        self._metric: BoxAP | None = _metric()
        self._threshold: float | None = None
        model: Any = getattr(counter.engine, "model", None)
        if self._metric is not None and hasattr(model, "set_score_threshold"):
            self._threshold = float(model.score_threshold)
            model.set_score_threshold(min(_LEAST, self._threshold))

    def counted(self, counting: Counting, truth: Annotation) -> Counting:
        """Notes the boxes of one picture, and returns the counting of those that count.

        Where the model or a picture has no boxes there is no AP.
        """
        if counting.boxes is None or truth.boxes is None:
            self._metric = None
        elif self._metric is not None:
            _note(self._metric, counting, truth, self._by_class)
        if self._threshold is None or counting.scores is None:
            return counting
        return _kept(counting, counting.scores >= self._threshold)

    def result(self) -> dict[str, float]:
        """``ap``, ``ap50`` and ``ap75``; nothing where there is no AP."""
        if self._metric is None:
            return {}
        return {name: float(value) for name, value in self._metric.compute().items()}


def _metric() -> BoxAP | None:
    try:
        from fastcount.metrics import BoxAP

        return BoxAP()
    except ModuleNotFoundError as error:
        say(f"no AP of the boxes: pip install 'fastcount[train]' ({error})")
        return None


def _note(metric: BoxAP, counting: Counting, truth: Annotation, by_class: bool) -> None:
    import torch

    def tensors(item: Any, *names: str) -> list[dict[str, torch.Tensor]]:
        found = {name: torch.as_tensor(getattr(item, name)) for name in names}
        if not by_class:
            found["labels"] = torch.zeros(len(found["boxes"]), dtype=torch.int64)
        return [found]

    metric.update(tensors(counting, "boxes", "scores", "labels"), tensors(truth, "boxes", "labels"))


def _kept(counting: Counting, keep: NDArray[np.bool_]) -> Counting:
    """What ``counting`` would be had only the objects ``keep`` (N,) been handed out."""
    fields: dict[str, Any] = {}
    for name in ("points", "boxes", "scores", "labels"):
        values = getattr(counting, name)
        fields[name] = None if values is None else values[keep]
    if counting.per_class is not None and fields["labels"] is not None:
        labels = fields["labels"].tolist()
        fields["per_class"] = {
            name: float(labels.count(number)) for number, name in enumerate(counting.per_class)
        }
    return replace(counting, count=float(keep.sum()), **fields)
