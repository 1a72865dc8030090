"""A count of a heat map's peaks that has a gradient (leaf counting, detection + regression)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcount.ops.differentiable import differentiable, undifferentiable
from fastcount.ops.maps import check_batch
from fastcount.ops.native import kernel_input
from fastcount.ops.scalars import check_number, check_window


def spatial_softmax(heatmap: Tensor, *, kernel_size: int = 3, beta: float = 100.0) -> Tensor:
    r"""Keep local maxima, push everything beside them towards 0 (leaf counting, eq. 5).

    .. math:: S = P \, \exp(-\beta \, \lvert P - \mathrm{maxpool}_k(P) \rvert)

    Every maximum of a plateau is kept. The gradient goes to a pixel and to the first maximum of its
    window in reading order, as through ``max_pool2d`` and ``abs``. A NaN stays NaN and is passed
    over by the windows around it.

    Args:
        heatmap: (B, C, H, W) floating point, P. float16 and bfloat16 are computed in float32.
        kernel_size: side of the window in pixels, odd; it may exceed the map.
        beta: how sharply values below the maximum fall, at least 0.

    Returns:
        (B, C, H, W) of the heat map's dtype, with a gradient.

    Raises:
        TypeError: a heat map that is no floating-point tensor, an argument of the wrong type.
        ValueError: a wrong shape, an even or non-positive ``kernel_size``, a beta that is negative
            or not finite.
        RuntimeError: when a gradient of the gradient is asked for.
    """
    _check(heatmap, kernel_size, beta)
    softened: Tensor = _spatial_softmax(kernel_input(heatmap), kernel_size, beta)
    return softened.to(heatmap.dtype)


def soft_count(
    heatmap: Tensor,
    *,
    kernel_size: int = 3,
    beta: float = 100.0,
    steepness: float = 15.0,
    threshold: float = 0.8,
) -> tuple[Tensor, Tensor]:
    r"""The detection map of a heat map and its sum, in one pass.

    .. math:: D = \frac{1}{1 + \exp(-t \, (S - \theta))}, \quad n_c = \sum_x D_c(x)

    with S of :func:`spatial_softmax`, steepness t and threshold theta. D is nearly 1 at a peak well
    above theta; where S is 0 it is still ``1 / (1 + exp(t theta))`` (6e-6 by default).

    Args:
        heatmap, kernel_size, beta: as for :func:`spatial_softmax`, with the same errors.
        steepness: of the sigmoid, finite.
        threshold: height at which a peak counts one half, finite.

    Returns:
        D, (B, C, H, W), and the counts, (B, C), both of the heat map's dtype, with a gradient. The
        sum is added up in float64.
    """
    _check(heatmap, kernel_size, beta)
    check_number(steepness, "steepness")
    check_number(threshold, "threshold")
    detection, count = _soft_count(kernel_input(heatmap), kernel_size, beta, steepness, threshold)
    return detection.to(heatmap.dtype), count.to(heatmap.dtype)


def _check(heatmap: Tensor, kernel_size: int, beta: float) -> None:
    check_batch(heatmap, "heatmap")
    check_window(kernel_size)
    check_number(beta, "beta", least=0)


def _fake_softmax(heatmap: Tensor, kernel_size: int, beta: float) -> Tensor:
    return heatmap.new_empty(heatmap.shape)


def _fake_softmax_backward(grad: Tensor, heatmap: Tensor, kernel_size: int, beta: float) -> Tensor:
    return heatmap.new_empty(heatmap.shape)


def _fake_count(
    heatmap: Tensor, kernel_size: int, beta: float, steepness: float, threshold: float
) -> tuple[Tensor, Tensor]:
    return heatmap.new_empty(heatmap.shape), heatmap.new_empty(heatmap.shape[:2])


def _fake_count_backward(
    grad_detection: Tensor | None,
    grad_count: Tensor | None,
    heatmap: Tensor,
    kernel_size: int,
    beta: float,
    steepness: float,
    threshold: float,
) -> Tensor:
    return heatmap.new_empty(heatmap.shape)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    heatmap, *ctx.options = inputs
    ctx.save_for_backward(heatmap)
    ctx.set_materialize_grads(False)


def _backward_softmax(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, None, None]:
    if grad is None:
        return None, None, None
    (heatmap,) = ctx.saved_tensors
    back = torch.ops.fastcount.spatial_softmax_backward(grad, heatmap, *ctx.options)
    return back, None, None


def _backward_count(
    ctx: Any, grad_detection: Tensor | None, grad_count: Tensor | None
) -> tuple[Tensor | None, None, None, None, None]:
    if grad_detection is None and grad_count is None:
        return None, None, None, None, None
    (heatmap,) = ctx.saved_tensors
    back = torch.ops.fastcount.soft_count_backward(
        grad_detection, grad_count, heatmap, *ctx.options
    )
    return back, None, None, None, None


for _name, _fake in (
    ("spatial_softmax", _fake_softmax),
    ("spatial_softmax_backward", _fake_softmax_backward),
    ("soft_count", _fake_count),
    ("soft_count_backward", _fake_count_backward),
):
    torch.library.register_fake(f"fastcount::{_name}", _fake)
_spatial_softmax = differentiable("spatial_softmax", _backward_softmax, _keep_inputs)
_soft_count = differentiable("soft_count", _backward_count, _keep_inputs)
for _name in ("spatial_softmax_backward", "soft_count_backward"):
    undifferentiable(_name, "spatial_softmax and soft_count have no second derivative")
