"""Forward-mode derivatives, which no operator has: refused, where they would silently be zero."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad


def refuse_forward_mode(value: Tensor, name: str) -> None:
    """Raises ``RuntimeError`` where ``value`` carries a tangent, which would be lost."""
    if torch.compiler.is_compiling():  # such a graph is made of the backward pass alone
        return
    dual = forward_ad.unpack_dual(value)  # type: ignore[no-untyped-call]
    if dual.tangent is not None:
        raise RuntimeError(
            f"{name} has no forward-mode derivative: use torch.autograd.grad or .backward(), or "
            "fastcount.ops.reference"
        )
