"""The smooth L1 loss of a heat map whose positive pixels are few."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcount.ops.differentiable import differentiable, undifferentiable
from fastcount.ops.maps import check_maps, check_reduction
from fastcount.ops.scalars import check_number


def weighted_smooth_l1(
    pred: Tensor, target: Tensor, *, weight: float = 0.1, reduction: str = "sum"
) -> Tensor:
    r"""Smooth L1 with one weight for positive pixels and one for all others.

    .. math:: L_d = w_t \begin{cases} |p - t| - \frac{1}{2} & |p - t| \ge 1 \\
        \frac{1}{2} (p - t)^2 & \text{otherwise} \end{cases}, \qquad
        w_t = \begin{cases} 1 - w & t > 0 \\ w & \text{otherwise} \end{cases}

    Eq. 4 of Itzhaky et al., "Leaf counting: multiple scale regression and detection using deep
    CNNs" (2018).

    Args:
        pred: the predicted heat map, of any shape. float16 and bfloat16 are computed in float32.
        target: of the same shape, >= 0.
        weight: w, in [0, 1).
        reduction: ``"sum"`` over all pixels and pictures, as the paper has it, or ``"none"``.

    Returns:
        float32 (float64 for a float64 ``pred``): a scalar, or a map of the shape of ``pred``. NaN
        where pred or target is NaN. The sum has the same bits whatever the number of threads.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: shapes or devices that differ, a number out of its range.
        RuntimeError: when target asks for a gradient; when a second derivative is asked for.
    """
    check_maps(pred, target)
    loss: Tensor = _weighted_smooth_l1(
        pred,
        target,
        check_number(weight, "weight", least=0.0, below=1.0),
        check_reduction(reduction),
    )
    return loss


def _fake(pred: Tensor, target: Tensor, weight: float, reduce: bool) -> Tensor:
    dtype = torch.float64 if pred.dtype == torch.float64 else torch.float32
    return pred.new_empty(() if reduce else pred.shape, dtype=dtype)


def _fake_backward(grad: Tensor, pred: Tensor, target: Tensor, weight: float) -> Tensor:
    return pred.new_empty(pred.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    pred, target, ctx.weight, _ = inputs
    ctx.save_for_backward(pred, target)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if ctx.needs_input_grad[1]:
        raise RuntimeError("target: weighted_smooth_l1 has no gradient for it; detach it")
    pred, target = ctx.saved_tensors
    given = torch.ops.fastcount.weighted_smooth_l1_backward(grad, pred, target, ctx.weight)
    return given, None, None, None


torch.library.register_fake("fastcount::weighted_smooth_l1", _fake)
torch.library.register_fake("fastcount::weighted_smooth_l1_backward", _fake_backward)
_weighted_smooth_l1 = differentiable("weighted_smooth_l1", _backward, _setup_context)
undifferentiable(
    "weighted_smooth_l1_backward",
    "weighted_smooth_l1 has no second derivative: leave create_graph=True out, or use "
    "fastcount.ops.reference",
)
