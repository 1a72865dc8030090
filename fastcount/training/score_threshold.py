"""The score threshold of a detector, chosen where its counts are right on validation pictures."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcount.models.parts.box_detector import BoxDetector
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter


def best_score_threshold(
    scores: Sequence[Tensor], truth: Sequence[float], *, least: float = 0.0
) -> tuple[float, float]:
    """The threshold that minimises the mean of |number of scores >= threshold - truth|.

    Args:
        scores: for each picture the scores (N,) of all that was found, down to ``least``.
        truth: for each picture the number of objects.
        least: no threshold below this is considered: what scores less was not looked for.

    Returns:
        The threshold and that mean. Of equally good ones it is the one in the widest gap between
        scores, and in the middle of its gap, so that small changes do not matter.

    Raises ``ValueError`` for no picture, or lists of different lengths.

    Exact and in one pass: from the highest score down, each one moves its picture's error by at
    most one; the sum of the moves so far is the error at every threshold.
    """
    if not scores or len(scores) != len(truth):
        raise ValueError(
            f"scores, truth: need one entry a picture, got {len(scores)} and {len(truth)}"
        )
    values: list[NDArray[np.float64]] = []
    moves: list[NDArray[np.float64]] = []
    for found, number in zip(scores, truth, strict=True):
        falling = np.sort(found.detach().double().cpu().numpy())[::-1]
        rank = np.arange(len(falling))
        values.append(falling)
        moves.append(np.abs(rank + 1 - number) - np.abs(rank - number))
    value, move = np.concatenate(values), np.concatenate(moves)
    order = np.argsort(-value, kind="stable")
    value, move = value[order], move[order]
    # Before the first score, and after each that differs from the next, a threshold can lie.
    error = np.abs(np.array(truth, dtype=np.float64)).sum() + np.concatenate([[0], np.cumsum(move)])
    above = np.concatenate([[1.0], value])
    below = np.concatenate([value, [least]])
    gap = above - below
    error = np.where(gap > 0, error, np.inf)
    if not np.isfinite(error).any():
        return least, float(np.abs(np.array(truth) - [len(each) for each in scores]).mean())
    best = np.flatnonzero(error <= error.min() + 1e-9)
    place = best[np.argmax(gap[best])]
    return float((above[place] + below[place]) / 2), float(error[place]) / len(truth)


def choose_score_threshold(
    model: BoxDetector,
    pictures: Iterable[tuple[NDArray[np.uint8], float]],
    *,
    device: str | torch.device = "cpu",
    least: float = 0.05,
) -> tuple[float, float]:
    """Sets ``model``'s threshold to the best on ``pictures``, and returns it with its error.

    The threshold lies in a buffer of the model, so a checkpoint written afterwards holds it.

    Args:
        pictures: (H, W, 3) uint8 RGB and the number of objects of each; validation pictures,
            never test pictures.
        least: the lowest threshold considered.
    """
    probe = copy.deepcopy(model)  # an engine takes its model over
    probe.set_score_threshold(least)
    counter = Counter(TorchEngine(probe, device))
    scores, truth = [], []
    for picture, number in pictures:
        found = counter(picture).scores
        scores.append(torch.zeros(0) if found is None else torch.from_numpy(found))
        truth.append(float(number))
    threshold, error = best_score_threshold(scores, truth, least=least)
    model.set_score_threshold(min(threshold, 1 - 1e-6))
    return threshold, error
