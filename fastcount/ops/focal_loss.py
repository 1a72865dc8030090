r"""The focal losses of dense counting: on binary maps, on heat maps, and with a mask.

All three have the form :math:`\frac{\alpha}{N} \sum d^\gamma (a L + b d)` with
:math:`L = -\log(1 - d)` and d the distance of the prediction from what it should be; they differ in
that and in the weights a and b. Equations of Zhong et al., "Mask Focal Loss: a unifying framework
for dense crowd counting with canonical object detection networks".
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from fastcount.ops.differentiable import differentiable, undifferentiable
from fastcount.ops.forward_mode import refuse_forward_mode
from fastcount.ops.maps import (
    check_like,
    check_maps,
    check_reduction,
    refuse_gradient,
    wants_gradient,
)
from fastcount.ops.scalars import check_flag, check_number

# As in csrc/math/focal_loss.h.
_BINARY, _HEATMAP, _MASK = 0, 1, 2
_POLY: dict[bool | str, int] = {False: 0, True: 1, "weighted": 2}
_LEAST_EPS = 1e-30


def focal_loss(
    pred: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    gamma: float = 2.0,
    from_logits: bool = False,
    eps: float = 1e-6,
    normalizer: float | None = None,
    reduction: str = "sum",
) -> Tensor:
    r"""Focal loss on a binary map (eq. 2).

    .. math:: L_f = -\frac{\alpha}{N} \sum
        \begin{cases} (1 - p)^\gamma \log p & t = 1 \\ p^\gamma \log(1 - p) & \text{otherwise}
        \end{cases}

    Args:
        pred: of any shape: probabilities, clamped to [eps, 1 - eps] (where the clamp acts the
            gradient is 0), or logits. float16 and bfloat16 are computed in float32.
        target: of the same shape, in [0, 1]. Entries of exactly 1 are positive, all others
            negative.
        alpha: factor of the whole loss.
        gamma: how fast well predicted entries lose weight, >= 0. Whole and half numbers are
            fastest.
        from_logits: ``pred`` holds logits; the sigmoid is part of the operator and stable.
        eps: in [1e-30, 0.5).
        normalizer: N, > 0; by default max(1, number of entries with target = 1) in the batch.
        reduction: ``"sum"``: one number, the sum over all entries divided by N. ``"none"``: each
            entry's share of it.

    Returns:
        float32 (float64 for a float64 ``pred``): a scalar, or a map of the shape of ``pred``. An
        entry where pred or target is NaN, or target is outside [0, 1], is NaN, and so is its
        gradient. The sum has the same bits whatever the number of threads.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: shapes or devices that differ, a number out of its range.
        RuntimeError: when target asks for a gradient; when a second derivative is asked for.
    """
    return _focal(
        pred,
        target,
        None,
        form=_BINARY,
        poly=False,
        alpha=alpha,
        beta=0.0,
        gamma=gamma,
        from_logits=from_logits,
        eps=eps,
        normalizer=normalizer,
        reduction=reduction,
    )


def heatmap_focal_loss(
    pred: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 4.0,
    gamma: float = 2.0,
    from_logits: bool = False,
    eps: float = 1e-6,
    normalizer: float | None = None,
    reduction: str = "sum",
) -> Tensor:
    r"""CenterNet's focal loss on a heat map (eq. 3).

    .. math:: L_h = -\frac{\alpha}{N} \sum
        \begin{cases} (1 - p)^\gamma \log p & t = 1 \\
        (1 - t)^\beta p^\gamma \log(1 - p) & t \in [0, 1) \end{cases}

    ``beta`` >= 0 spares the neighbourhood of a centre. Everything else as for :func:`focal_loss`,
    which this equals with ``beta=0``, and on a binary target with any ``beta``.
    """
    return _focal(
        pred,
        target,
        None,
        form=_HEATMAP,
        poly=False,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        from_logits=from_logits,
        eps=eps,
        normalizer=normalizer,
        reduction=reduction,
    )


def mask_focal_loss(
    pred: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 0.5,
    gamma: float = 4.0,
    poly: bool | Literal["weighted"] = False,
    from_logits: bool = False,
    eps: float = 1e-6,
    normalizer: float | None = None,
    reduction: str = "sum",
) -> Tensor:
    r"""Mask focal loss (eq. 6): inside the mask the prediction should follow the heat map.

    .. math:: L_m = -\frac{\alpha}{N} \sum
        \begin{cases} t^\beta d^\gamma \log(1 - d) & \text{in the mask},\ d = |t - p| \\
        p^\gamma \log(1 - p) & \text{outside} \end{cases}

    Args:
        mask: of the shape of ``pred``, not 0 where an object is; by default ``target > 0``.
        beta: >= 0; how much the centre of an object outweighs its border.
        poly: ``True``: eq. 7 as printed, where the first term has no :math:`t^\beta`:

            .. math:: d^\gamma \log(1 - d) - t^\beta d^{\gamma + 1}, \qquad
                p^\gamma \log(1 - p) - p^{\gamma + 1}

            ``"weighted"``: with :math:`t^\beta` on both terms, as eq. 6 extended by the first
            term of the Poly loss would read.

    Everything else as for :func:`focal_loss`, which this equals on a binary target (without
    ``poly``).
    """
    if poly not in _POLY:
        raise ValueError(f'poly must be False, True or "weighted", got {poly!r}')
    if mask is not None:
        if not isinstance(mask, Tensor):
            raise TypeError(f"mask must be a tensor or None, got {type(mask).__name__}")
        check_like(mask, "mask", pred)
        refuse_gradient(mask, "mask")
        refuse_forward_mode(mask, "mask")
        if mask.dtype != torch.bool:
            mask = mask != 0
    return _focal(
        pred,
        target,
        mask,
        form=_MASK,
        poly=poly,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        from_logits=from_logits,
        eps=eps,
        normalizer=normalizer,
        reduction=reduction,
    )


def _focal(
    pred: Tensor,
    target: Tensor,
    mask: Tensor | None,
    *,
    form: int,
    poly: bool | str,
    alpha: float,
    beta: float,
    gamma: float,
    from_logits: bool,
    eps: float,
    normalizer: float | None,
    reduction: str,
) -> Tensor:
    check_maps(pred, target)
    loss: Tensor = _focal_loss(
        pred,
        target,
        mask,
        form,
        _POLY[poly],
        check_flag(from_logits, "from_logits"),
        check_number(alpha, "alpha"),
        check_number(beta, "beta", least=0.0),
        check_number(gamma, "gamma", least=0.0),
        check_number(eps, "eps", least=_LEAST_EPS, below=0.5),
        None if normalizer is None else check_number(normalizer, "normalizer", positive=True),
        check_reduction(reduction),
        wants_gradient(pred),
    )[0]
    return loss


def _compute_dtype(pred: Tensor) -> torch.dtype:
    return torch.float64 if pred.dtype == torch.float64 else torch.float32


def _fake(
    pred: Tensor,
    target: Tensor,
    mask: Tensor | None,
    form: int,
    poly: int,
    from_logits: bool,
    alpha: float,
    beta: float,
    gamma: float,
    eps: float,
    normalizer: float | None,
    reduce: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    dtype = _compute_dtype(pred)
    return (
        pred.new_empty(() if reduce else pred.shape, dtype=dtype),
        pred.new_empty((), dtype=dtype),
        pred.new_empty(pred.shape if keep else (0,), dtype=dtype),
    )


def _fake_backward(grad: Tensor, slope: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    return slope.new_empty(slope.shape, dtype=dtype)


def _setup_context(
    ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]
) -> None:
    _, weight, slope = output
    # Not slope: by it the backward pass hangs on pred, so that a second derivative is asked of it,
    # and refused, instead of being passed over.
    ctx.mark_non_differentiable(weight)
    ctx.set_materialize_grads(False)  # else a map of zeros is made as the gradient of slope
    ctx.save_for_backward(weight, slope)
    ctx.dtype = inputs[0].dtype
    ctx.kept = inputs[-1]


def _backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if ctx.needs_input_grad[1]:
        raise RuntimeError("target: the focal losses have no gradient for it; pass target.detach()")
    if not ctx.kept:
        raise RuntimeError("keep=False: focal_loss kept nothing for the backward pass")
    others = [None] * 12
    if grad is None:
        return (None, *others)
    weight, slope = ctx.saved_tensors
    given = torch.ops.fastcount.focal_loss_backward(grad, slope, weight, ctx.dtype)
    return (given, *others)


torch.library.register_fake("fastcount::focal_loss", _fake)
torch.library.register_fake("fastcount::focal_loss_backward", _fake_backward)
undifferentiable(
    "focal_loss_backward",
    "the focal losses have no second derivative: leave create_graph=True out, or use "
    "fastcount.ops.reference",
)
_focal_loss = differentiable("focal_loss", _backward, _setup_context)
