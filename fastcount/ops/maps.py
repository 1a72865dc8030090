"""Arguments that the operators on maps share, checked."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcount.ops.forward_mode import refuse_forward_mode
from fastcount.ops.native import require_device

_REDUCTIONS = ("sum", "none")


def check_maps(pred: Tensor, target: Tensor) -> None:
    """``pred`` and ``target``: floating point, of one shape, on one device with kernels.

    Raises TypeError for another type, ValueError for another shape or device, RuntimeError for a
    device without kernels, a target that asks for a gradient, or a tangent of either.
    """
    for name, value in (("pred", pred), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
        if not value.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {value.dtype}; use {name}.float()")
        refuse_forward_mode(value, name)
    check_like(target, "target", pred)
    refuse_gradient(target, "target")
    require_device(pred.device)


def refuse_gradient(value: Tensor, name: str) -> None:
    """Raises ``RuntimeError`` where an argument that is only compared with asks for a gradient."""
    if value.requires_grad:
        raise RuntimeError(
            f"{name}.requires_grad is set, but the loss has no gradient with respect to it: "
            f"pass {name}.detach()"
        )


def check_like(value: Tensor, name: str, pred: Tensor) -> None:
    """``value`` must have the shape and the device of ``pred``."""
    if value.shape != pred.shape:
        raise ValueError(
            f"{name} must have the shape of pred, {tuple(pred.shape)}, got {tuple(value.shape)}; "
            f"use {name}.expand_as(pred) where that is meant"
        )
    if value.device != pred.device:
        raise ValueError(
            f"{name} is on {value.device}, pred on {pred.device}: move them to one device"
        )


def check_batch(maps: Tensor, name: str) -> None:
    """``maps``: floating point (B, C, H, W) on a device with kernels.

    Raises TypeError for another type, ValueError for another shape, RuntimeError for a device
    without kernels or a tangent.
    """
    if not isinstance(maps, Tensor):
        raise TypeError(f"{name} must be a tensor (B, C, H, W), got {type(maps).__name__}")
    if not maps.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {maps.dtype}; use {name}.float()")
    refuse_forward_mode(maps, name)
    if maps.dim() != 4:
        raise ValueError(f"{name} must have shape (B, C, H, W), got {tuple(maps.shape)}")
    require_device(maps.device)


def check_reduction(reduction: str) -> bool:
    """Whether to add up."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}")
    return reduction == "sum"


def wants_gradient(maps: Tensor) -> bool:
    return torch.is_grad_enabled() and maps.requires_grad
