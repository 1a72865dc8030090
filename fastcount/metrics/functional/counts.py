"""Errors of counts, one number a picture (or one a class and picture)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_counts(pred: Tensor, target: Tensor, *, dims: int) -> tuple[Tensor, Tensor]:
    """Both as float64 of the same shape; ``ValueError`` for anything that is no count.

    A prediction may be negative (a regression's may), a truth may not.
    """
    pred, target = pred.detach().double(), target.detach().double()
    if dims == 1:  # a lone number is one picture
        pred = pred.view(1) if pred.ndim == 0 else pred
        target = target.view(1) if target.ndim == 0 else target
    if pred.ndim != dims or pred.shape != target.shape:
        raise ValueError(
            f"pred and target must share a shape of {dims} dimension(s), not "
            f"{tuple(pred.shape)} and {tuple(target.shape)}"
        )
    if not bool(torch.isfinite(pred).all()):
        raise ValueError("pred holds a count that is not finite; the model has diverged")
    if not bool(torch.isfinite(target).all()) or bool((target < 0).any()):
        raise ValueError("target holds a count that is negative or not finite; mend the truth")
    return pred, target


def rounded(counts: Tensor) -> Tensor:
    """To the nearest whole number, halves up."""
    return torch.floor(counts + 0.5)


def count_error_sums(pred: Tensor, target: Tensor) -> Tensor:
    """(6,) float64 to be added up: n, |e|, e^2, e, |e| / t where t > 0, pictures with t > 0."""
    pred, target = check_counts(pred, target, dims=1)
    error = pred - target
    filled = target > 0
    relative = error[filled].abs() / target[filled]
    number = torch.full((), float(len(error)), dtype=torch.float64, device=error.device)
    return torch.stack(
        [number, error.abs().sum(), (error**2).sum(), error.sum(), relative.sum(), filled.sum()]
    )


def count_error_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """The errors that :func:`count_error` names, 0 over no pictures."""
    pictures, filled = sums[0].clamp(min=1), sums[5].clamp(min=1)
    mse = sums[2] / pictures
    return {
        "mae": sums[1] / pictures,
        "rmse": mse.sqrt(),
        "mse": mse,
        "nae": sums[4] / filled,
        "bias": sums[3] / pictures,
    }


def count_error(pred: Tensor, target: Tensor) -> dict[str, Tensor]:
    """``mae``, ``rmse``, ``mse``, ``nae`` and ``bias`` of counts (N,) against true counts (N,).

    With e = pred - target: MAE = mean |e|, MSE = mean e^2, RMSE = sqrt(MSE) (which crowd papers
    print as "MSE"), NAE = mean of |e| / target over the pictures with target > 0, bias = mean e.
    All are 0 where there is nothing to average. Raises ``ValueError`` for unequal shapes and
    for counts that are not finite.
    """
    return count_error_from_sums(count_error_sums(pred, target))


def std_coverage(
    pred: Tensor, std: Tensor, target: Tensor, *, multiples: Sequence[float] = (1.0, 2.0)
) -> Tensor:
    """(M,) shares in [0, 1] of counts (N,) within each multiple of their ``std`` (N,) of the truth.

    Of Gaussian errors with the right deviations 0.683 are within one, 0.954 within two. 0 over no
    pictures. Raises ``ValueError`` for unequal shapes, and for counts or deviations that are not
    finite or, the latter, negative.
    """
    pred, target = check_counts(pred, target, dims=1)
    std, _ = check_counts(std, target, dims=1)
    if bool((std < 0).any()):
        raise ValueError("std holds a negative number; give standard deviations")
    error = (pred - target).abs()
    within = torch.stack([error <= multiple * std for multiple in multiples])
    return within.double().sum(dim=1) / max(len(error), 1)


def count_agreement_sums(pred: Tensor, target: Tensor, *, round_counts: bool = True) -> Tensor:
    """(5,) float64 to be added up: n, e, |e|, e^2, pictures that agree."""
    pred, target = check_counts(pred, target, dims=1)
    error = (rounded(pred) if round_counts else pred) - target
    number = torch.full((), float(len(error)), dtype=torch.float64, device=error.device)
    agree = (rounded(pred) == rounded(target)).sum()
    return torch.stack([number, error.sum(), error.abs().sum(), (error**2).sum(), agree])


def count_agreement_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """What :func:`count_agreement` names, 0 over no pictures."""
    pictures = sums[0].clamp(min=1)
    mean, mean_abs, mse = sums[1] / pictures, sums[2] / pictures, sums[3] / pictures
    return {
        "dic": mean,
        "dic_std": (mse - mean**2).clamp(min=0).sqrt(),
        "abs_dic": mean_abs,
        "abs_dic_std": (mse - mean_abs**2).clamp(min=0).sqrt(),
        "agreement": 100 * sums[4] / pictures,
        "mse": mse,
    }


def count_agreement(
    pred: Tensor, target: Tensor, *, round_counts: bool = True
) -> dict[str, Tensor]:
    """The leaf counting challenge's measures of counts (N,) against true counts (N,).

    ``dic``: mean difference in count, predicted - true; ``abs_dic``: mean absolute difference;
    ``dic_std``, ``abs_dic_std``: their standard deviations over the pictures (of the population);
    ``agreement``: per cent of pictures whose rounded count is the true one; ``mse``: mean squared
    difference. With ``round_counts`` the differences, too, are those of whole counts, as in the
    challenge. All are 0 over no pictures. Scharr et al., Leaf segmentation in plant phenotyping:
    a collation study, 2016.
    """
    return count_agreement_from_sums(count_agreement_sums(pred, target, round_counts=round_counts))


def class_count_error_sums(pred: Tensor, target: Tensor, *, round_counts: bool = True) -> Tensor:
    """(6, C) float64 to be added up: n, e^2, e^2 / (t + 1), and the same three where t > 0."""
    pred, target = check_counts(pred, target, dims=2)
    square = ((rounded(pred) if round_counts else pred) - target) ** 2
    each = torch.stack([torch.ones_like(square), square, square / (target + 1)])
    return torch.cat([each.sum(dim=1), (each * (target > 0)).sum(dim=1)])


def class_count_error_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """What :func:`class_count_error` names, 0 where there is nothing to average."""
    errors = {}
    for suffix, (number, square, relative) in (("", sums[:3]), ("_nz", sums[3:])):
        seen = number > 0
        classes = seen.sum().clamp(min=1)
        per_picture = number.clamp(min=1)
        errors[f"mrmse{suffix}"] = (square / per_picture).sqrt().sum() / classes
        errors[f"m_relrmse{suffix}"] = (relative / per_picture).sqrt().sum() / classes
    return errors


def class_count_error(
    pred: Tensor, target: Tensor, *, round_counts: bool = True
) -> dict[str, Tensor]:
    """``mrmse``, ``mrmse_nz``, ``m_relrmse``, ``m_relrmse_nz`` of counts (N, C).

    Per class RMSE = sqrt(mean e^2) and relRMSE = sqrt(mean of e^2 / (target + 1)), then the mean
    over classes; ``_nz`` over the pictures that hold the class, and the classes that any picture
    holds. Counts are rounded first unless ``round_counts=False``. All are 0 where there is
    nothing to average. Chattopadhyay et al., Counting Everyday Objects in Everyday Scenes, 2017.
    """
    return class_count_error_from_sums(
        class_count_error_sums(pred, target, round_counts=round_counts)
    )
