"""CountSeg's losses: learning to count and to locate from image-level counts of at most four.

Cholakkal et al., Object Counting and Instance Segmentation with Image-level Supervision, CVPR
2019. The classes of a picture fall into three sets by their true count t: A absent (t = 0), S
within the subitizing range (1 to 4), and those beyond it, of which nothing is known but that
there are five or more: every function here cuts counts at 5 before it looks at them.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fastcount import ops

CountSegForm = Literal["paper", "public"]

SUBITIZING = 4  # the most that people count at a glance
BEYOND = SUBITIZING + 1


def lower_counts(counts: Tensor) -> Tensor:
    """(B, C) whole numbers cut at 5, "more than four". Raises ``ValueError`` for a negative one,
    ``TypeError`` for counts that are no whole numbers."""
    if counts.is_floating_point():
        raise TypeError(f"counts must have an integer dtype, got {counts.dtype}")
    if bool((counts < 0).any()):
        raise ValueError("counts: hold a negative number")
    return counts.clamp(max=BEYOND)


def category_peaks(category: Tensor, form: CountSegForm = "paper") -> Tensor:
    """(B, C, h, w): the strict local maxima of each class's map over 3 x 3 cells, 0 elsewhere.

    By ``"public"``, the authors' code, only those that reach the median of their map.
    """
    peaks = ops.peak_map(category, radius=1)
    if form == "paper":
        return peaks
    values = category.detach().flatten(2)
    upper = values.shape[2] // 2 + 1  # so many values are not below the (lower) median
    median = values.topk(upper, dim=2).values[..., -1:, None]  # engines have no median
    return torch.where(category >= median, peaks, torch.zeros_like(peaks))


def class_scores(category: Tensor, form: CountSegForm = "paper") -> Tensor:
    """(B, C) confidence of each class: the mean of its :func:`category_peaks`, 0 without any.

    ``category``: (B, C, h, w). The gradient reaches the maxima alone, each its share; by
    ``"public"`` each the whole of it. Section 3.1.1.
    """
    peaks = category_peaks(category, form)
    number = (peaks != 0).sum(dim=(2, 3)).clamp(min=1)
    total = peaks.sum(dim=(2, 3))
    mean = total / number
    return mean if form == "paper" else total + (mean - total).detach()


def class_loss(scores: Tensor, counts: Tensor) -> Tensor:
    """Multi-label soft margin loss of whether each class is there, mean over classes and pictures.

    ``scores``, ``counts``: (B, C). Section 3.1.1.
    """
    present = (lower_counts(counts) > 0).to(scores)
    return F.multilabel_soft_margin_loss(scores, present)


def peak_mask(category: Tensor, counts: Tensor, form: CountSegForm = "paper") -> Tensor:
    """(B, C, h, w) eq. 2: B_c, 1 at the t_c highest peaks of the classes in S, 0 elsewhere.

    It is a truth to be learned from: no gradient passes through it.
    """
    lower = lower_counts(counts)
    wanted = torch.where(lower > SUBITIZING, 0, lower)
    return ops.top_peaks_mask(category_peaks(category.detach(), form), wanted)


def spatial_positive_loss(density: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
    r"""The density is to be high at the peaks of the classes in S (eq. 3 and 4).

    .. math:: L_{sp+} = -\sum_{c \in S} \frac{\lVert B_c \odot \log \sigma(D_c \odot B_c)
              \rVert_{sum}}{|S| \, \lVert B_c \rVert_{sum}}

    mean over pictures; what is not a peak has no gradient (eq. 8). ``density``, ``mask``: (B, C,
    h, w); ``counts``: (B, C). A class without a peak and a picture without a class in S add 0.
    """
    within = _within(counts)
    logs = (mask * F.logsigmoid(density)).sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp(min=1)
    return -_mean_over_set(logs, within)


def spatial_negative_loss(density: Tensor, counts: Tensor, kept: Tensor | None = None) -> Tensor:
    r"""The density is to be low everywhere for the classes in A (eq. 5).

    .. math:: L_{sp-} = -\sum_{c \in A} \frac{\lVert \log(1 - \sigma(D_c)) \rVert_{sum}}
              {|A| \, H \, W}

    mean over pictures. ``kept``: (B, C) bool, which of the classes in A count; None for all.
    """
    # log(1 - sigma(d)) = log sigma(-d)
    return -_mean_over_set(F.logsigmoid(-density).mean(dim=(2, 3)), _absent(counts, kept))


def count_mse_loss(predicted: Tensor, counts: Tensor, kept: Tensor | None = None) -> Tensor:
    r"""Squared error of the counts of the classes in A and S (eq. 6), mean over pictures.

    .. math:: L_{MSE} = \sum_{c \in A \cup S} \frac{(\hat t_c - t_c)^2}{|A| + |S|}

    ``predicted``: (B, C) sums of the density maps. ``kept``: as above.
    """
    known = _absent(counts, kept) | _within(counts)
    return _mean_over_set((predicted - lower_counts(counts).to(predicted)).square(), known)


def rank_loss(predicted: Tensor, counts: Tensor) -> Tensor:
    r"""Counts beyond the subitizing range are to be at least 5 (eq. 7), mean over pictures.

    .. math:: L_{rank} = \sum_{c \in \tilde S} \frac{\max(0, 5 - \hat t_c)}{|\tilde S|}
    """
    beyond = lower_counts(counts) == BEYOND
    return _mean_over_set((BEYOND - predicted).clamp(min=0), beyond)


def _within(counts: Tensor) -> Tensor:
    lower = lower_counts(counts)
    return (lower > 0) & (lower < BEYOND)


def _absent(counts: Tensor, kept: Tensor | None) -> Tensor:
    absent = lower_counts(counts) == 0
    return absent if kept is None else absent & kept


def _mean_over_set(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean over each picture's chosen classes, 0 where none is, then mean over pictures."""
    total = torch.where(chosen, values, torch.zeros_like(values)).sum(dim=1)
    return (total / chosen.sum(dim=1).clamp(min=1)).mean()
