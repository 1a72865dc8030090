"""What networks that give one answer for a whole picture share."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from fastcount.losses.heteroscedastic import gaussian_count_loss, laplacian_count_loss
from fastcount.models.base import Target, require_one_each
from fastcount.runtime.tiling import Tiling

CountLoss = Literal["gaussian", "laplacian", "l2"]
COUNT_LOSSES: tuple[str, ...] = get_args(CountLoss)


def whole_picture_tiling(
    size: tuple[int, int], mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
) -> Tiling:
    """Pictures scaled in proportion: the shorter side to ``size[0]``, the longer to at most
    ``size[1]`` pixels.

    Where both are the same, the picture is put into a square of that side, the rest of it of the
    colour ``mean`` (RGB in [0, 1]), which networks see as zero: pictures of all shapes are then
    of one size, in training too, and an average over the map means the same for all of them.

    Raises ``ValueError`` where ``size`` is not two numbers of pixels, the second not smaller.
    """
    sides = tuple(int(side) for side in size)
    if len(sides) != 2 or not 0 < sides[0] <= sides[1]:
        raise ValueError(
            f"size: need the pixels of the shorter and of the longest side, got {size}"
        )
    red, green, blue = (round(255 * value) for value in mean)
    return Tiling(
        mode="resize",
        tile=(sides[0], sides[1]),
        margin=0,
        align=sides[0] if sides[0] == sides[1] else 1,
        fill=(red, green, blue),
        turn=True,
    )


def true_counts(targets: list[Target], like: Tensor) -> Tensor:
    """(B,) counts of ``targets`` for predictions ``like`` (B, ...), float32 at least.

    Raises ``ValueError`` unless there is a target for each picture.
    """
    require_one_each(targets, like)
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    none = torch.zeros(0, dtype=dtype, device=like.device)
    zero = torch.zeros(1, dtype=dtype, device=like.device)
    # Added, since a compiled graph would hold for one set of numbers handed to torch.tensor.
    return torch.cat([none, *(zero + float(target["count"]) for target in targets)])


def estimates_loss(
    means: Tensor,  # [B, J]
    log_variances: Tensor | None,  # [B, J]
    counts: Tensor,  # [B]
    loss: CountLoss,
) -> Tensor:
    """(J,) loss of each estimator, its mean over pictures; half the squared error for ``"l2"``."""
    truth = counts[:, None]
    if log_variances is None:
        return 0.5 * (means.to(counts.dtype) - truth).square().mean(dim=0)
    form = laplacian_count_loss if loss == "laplacian" else gaussian_count_loss
    return form(means, log_variances, truth).mean(dim=0)


def check_count_loss(loss: str) -> None:
    """Raises ``ValueError`` for a name that is none of :data:`COUNT_LOSSES`."""
    if loss not in COUNT_LOSSES:
        raise ValueError(f"loss: need one of {', '.join(COUNT_LOSSES)}, got {loss!r}")


def scale_estimator(last: nn.Linear, factor: float) -> None:
    """Multiplies what a count's last layer says by ``factor`` > 0.

    Its first output is the count; a second one, where there is one, its log variance.
    """
    with torch.no_grad():
        last.weight[0].mul_(factor)
        last.bias[0].mul_(factor)
    if last.out_features > 1:
        scale_deviation(last, factor)


def scale_deviation(last: nn.Linear, factor: float) -> None:
    """Multiplies the standard deviation that is the second output of ``last`` by ``factor`` > 0.

    Which of several estimates is the surest stays what it was.
    """
    with torch.no_grad():
        last.bias[1].add_(2 * math.log(factor))
