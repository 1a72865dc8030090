"""One-to-one matching of predicted points with true points, and what is told from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree
from torch import Tensor

_AT_ONCE = 64  # predictions whose pairs within reach are held together


def check_points(points: Tensor, name: str) -> Tensor:
    """``points`` detached, as a plain tensor; ``ValueError`` unless finite (N, 2)."""
    plain = points.detach().as_subclass(Tensor)
    if plain.ndim != 2 or plain.shape[1] != 2:
        raise ValueError(f"{name} must be (N, 2), not {tuple(plain.shape)}")
    if not bool(torch.isfinite(plain).all()):
        raise ValueError(f"{name} holds a coordinate that is not finite")
    return plain


def _numpy(points: Tensor, name: str) -> NDArray[np.float64]:
    array: NDArray[np.float64] = check_points(points, name).double().cpu().numpy()
    return array


def match_points(pred: Tensor, target: Tensor, radius: float) -> Tensor:
    """(N,) int64: for each of ``pred`` (N, 2) the index of its partner in ``target`` (M, 2), or -1.

    No two share a partner, no pair is more than ``radius`` pixels apart, and there is no matching
    with more pairs (Hopcroft-Karp on the pairs within reach: memory grows with those, not with
    N * M).
    """
    found, true = _numpy(pred, "pred"), _numpy(target, "target")
    if not radius >= 0:
        raise ValueError(f"radius must be at least 0 pixels, not {radius}")
    if not len(found) or not len(true):
        return torch.full((len(found),), -1, dtype=torch.int64)
    reach = cKDTree(found).query_ball_point(true, radius, return_sorted=True)
    # 32 bits: the only indices that the matching of scipy 1.11 takes.
    rows = np.concatenate([np.asarray(near, dtype=np.int32) for near in reach])
    columns = np.repeat(np.arange(len(true), dtype=np.int32), [len(near) for near in reach])
    graph = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), (len(found), len(true)))
    partner = maximum_bipartite_matching(graph, perm_type="column")
    return torch.from_numpy(partner.astype(np.int64))


def point_pr_sums(pred: Tensor, target: Tensor, radii: Sequence[float]) -> Tensor:
    """(R, 3) float64 to be added up: pairs, predictions, true points at each radius."""
    pairs = [int((match_points(pred, target, radius) >= 0).sum()) for radius in radii]
    rows = [[count, len(pred), len(target)] for count in pairs]
    return torch.tensor(rows, dtype=torch.float64).view(len(radii), 3)


def point_pr_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """``precision``, ``recall`` and ``f1``, (R,) each; see :func:`point_pr`."""
    pairs, found, true = sums.unbind(dim=1)
    nothing = (found + true == 0).double()  # found nothing where nothing is: perfect
    return {
        "precision": pairs / found.clamp(min=1) + nothing,
        "recall": pairs / true.clamp(min=1) + nothing,
        "f1": 2 * pairs / (found + true).clamp(min=1) + nothing,
    }


def point_pr(pred: Tensor, target: Tensor, radii: Sequence[float]) -> dict[str, Tensor]:
    """``precision``, ``recall`` and ``f1`` (R,) of points (N, 2) against points (M, 2).

    At each of ``radii`` (pixels) predictions and true points are paired one to one, as many as
    can be. All are 1 where both sets are empty; where one is, its own ratio is 0.
    """
    return point_pr_from_sums(point_pr_sums(pred, target, radii))


def rank_hits(
    pred: Tensor, scores: Tensor, target: Tensor, radii: NDArray[np.float64], *, free: bool
) -> NDArray[np.bool_]:
    """(N, R): whether each prediction is a true positive at each of ``radii``.

    Predictions are taken from the most confident down (ties: as given). ``free``: each takes the
    nearest true point that is not yet taken, else only the nearest one, if that is free.
    """
    found, true = _numpy(pred, "pred"), _numpy(target, "target")
    hits = np.zeros((len(found), len(radii)), dtype=bool)
    if not len(found) or not len(true):
        return hits
    tree = cKDTree(true)
    distance, nearest = tree.query(found)
    taken = np.zeros((len(radii), len(true)), dtype=bool)
    widest = float(radii.max())
    order = np.argsort(-scores.detach().double().cpu().numpy(), kind="stable")
    order = order[distance[order] <= widest]
    rows = np.arange(len(radii))
    for begin in range(0, len(order), _AT_ONCE):
        ranked = order[begin : begin + _AT_ONCE]
        if free:
            # A trifle wider: the tree compares squares, which round otherwise than distances.
            reach = tree.query_ball_point(found[ranked], widest * (1 + 1e-9), return_sorted=True)
        else:
            reach = [[point] for point in nearest[ranked].tolist()]
        ends = np.cumsum([len(each) for each in reach])
        near = np.concatenate(reach).astype(np.int64)
        owner = np.repeat(np.arange(len(ranked)), [len(each) for each in reach])
        gap = np.hypot(*(true[near] - found[ranked[owner]]).T)
        by_gap = np.lexsort((gap, owner))  # of equal gaps the first given
        near, gap = near[by_gap], gap[by_gap]
        within = gap <= radii[:, None]  # (R, pairs)
        for index, start, end in zip(ranked, [0, *ends[:-1]], ends, strict=True):
            own = near[start:end]
            usable = within[:, start:end] & ~taken[:, own]
            first = usable.argmax(axis=1)
            hit = usable[rows, first]
            hits[index] = hit
            taken[rows, own[first]] |= hit
    return hits


def average_precision(scores: Tensor, hits: Tensor, truths: int) -> tuple[Tensor, Tensor]:
    """Average precision and highest recall, (R,) each, of ranked predictions.

    ``scores`` (N,), ``hits`` (N, R) of 0 and 1, ``truths``: how many there were to find.
    Precision is made to fall with recall and averaged over recalls 0, 0.01, ..., 1, as COCO does.
    Both are 1 where nothing was predicted and nothing was there, 0 where only one of the two holds.
    """
    columns = hits.shape[1]
    if truths == 0 or len(scores) == 0:
        value = float(truths == 0 and len(scores) == 0)
        both = torch.full((columns,), value, dtype=torch.float64)
        return both, both.clone()
    order = torch.argsort(scores.double(), descending=True, stable=True).cpu()
    true = hits.cpu()[order].double().cumsum(dim=0)
    rank = torch.arange(1, len(scores) + 1, dtype=torch.float64)[:, None]
    precision, recall = true / rank, true / truths
    envelope = precision.flip(0).cummax(dim=0).values.flip(0)
    wanted = torch.linspace(0, 1, 101, dtype=torch.float64).expand(columns, -1).contiguous()
    # a recall of exactly 0.7 must not be missed for the last bit
    at = torch.searchsorted(recall.T.contiguous() + 1e-12, wanted)
    padded = torch.cat([envelope, torch.zeros(1, columns, dtype=torch.float64)])
    return padded.gather(0, at.T).mean(dim=0), recall[-1]
