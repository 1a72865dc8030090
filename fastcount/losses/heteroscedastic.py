"""Losses of a count that comes with its own uncertainty."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastcount.losses.precision import at_least_float32


def gaussian_count_loss(
    mean: Tensor,  # [...]
    log_variance: Tensor,  # [...]
    target: Tensor,  # broadcast to [...]
) -> Tensor:
    r"""Negative log-likelihood of a count under a Gaussian of predicted mean and variance.

    .. math:: L = \frac{1}{2} e^{-s} (\hat y - y)^2 + \frac{1}{2} s, \qquad s = \log \hat\sigma^2

    up to a constant: eq. 1 of Itzhaky et al., "Leaf counting: multiple scale regression and
    detection using deep CNNs" (2018), in the form that they train with; the paper adds this up
    over pictures. Where a count cannot be told, a large variance costs less than a large error.

    ``mean`` in objects, ``log_variance`` in log objects^2, any real number. Returns one loss for
    each, float32 at least. Raises ``ValueError`` where the first two differ in shape, or the third
    does not broadcast to it.
    """
    mean, log_variance = _checked(mean, log_variance, target)
    return 0.5 * torch.exp(-log_variance) * (mean - target).square() + 0.5 * log_variance


def laplacian_count_loss(
    mean: Tensor,  # [...]
    log_variance: Tensor,  # [...]
    target: Tensor,  # broadcast to [...]
) -> Tensor:
    r"""As :func:`gaussian_count_loss` under a Laplacian, the paper's suggested next step.

    .. math:: L = \frac{1}{b} |\hat y - y| + \log b + \frac{1}{2} \log 2
        = \sqrt 2\, e^{-s/2} |\hat y - y| + \frac{1}{2} s, \qquad \hat\sigma^2 = 2 b^2

    with s = log sigma^2 of the distribution, so that both losses leave the same meaning to it.
    Absolute errors: a few miscounted pictures pull less than under a Gaussian.
    """
    mean, log_variance = _checked(mean, log_variance, target)
    inverse_scale = math.sqrt(2) * torch.exp(-0.5 * log_variance)
    return inverse_scale * (mean - target).abs() + 0.5 * log_variance


def _checked(mean: Tensor, log_variance: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if mean.shape != log_variance.shape:
        raise ValueError(
            f"mean, log_variance: need one shape, got {tuple(mean.shape)} and "
            f"{tuple(log_variance.shape)}"
        )
    # (B, 1) and (B,) would make (B, B): each count against every picture's truth.
    sides = zip(target.shape[::-1], mean.shape[::-1], strict=False)
    if target.ndim > mean.ndim or any(side not in (1, wanted) for side, wanted in sides):
        raise ValueError(
            f"target: need a shape that broadcasts to {tuple(mean.shape)}, got "
            f"{tuple(target.shape)}"
        )
    return at_least_float32(mean), at_least_float32(log_variance)
