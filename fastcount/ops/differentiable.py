"""Operators with a backward pass, called from Python at little cost, and those without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _seen_by_autograd(arguments: tuple[Any, ...]) -> bool:
    """Whether a gradient may be asked for, or a graph is being made."""
    return torch.compiler.is_compiling() or (
        torch.is_grad_enabled()
        and any(isinstance(each, Tensor) and each.requires_grad for each in arguments)
    )


def _below_autograd(operator: Any, arguments: tuple[Any, ...]) -> Any:
    """Calls ``operator`` as ``torch.library`` would end up doing, past its Python code."""
    with torch._C._AutoDispatchBelowAutograd():
        return operator(*arguments)


def differentiable(
    name: str, backward: Callable[..., Any], setup_context: Callable[..., None]
) -> Callable[..., Any]:
    """Gives the operator ``fastcount::name`` its backward pass; returns a function that calls it.

    ``backward`` and ``setup_context`` are those of ``torch.library.register_autograd``. What that
    makes of them serves compiled graphs and whoever calls the operator itself. The function
    returned goes by an autograd function of the same two, which costs half as much, or past
    autograd where no gradient is asked for: on a small map Python takes longer than the kernels.
    """
    torch.library.register_autograd(f"fastcount::{name}", backward, setup_context=setup_context)
    operator = getattr(torch.ops.fastcount, name)

    def forward(ctx: Any, *arguments: Any) -> Any:
        # Not apart from the context, as newer functions have it: that would cost twice as much.
        output = operator(*arguments)
        setup_context(ctx, arguments, output)
        return output

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    function: Any = type(name, (torch.autograd.Function,), members)

    def call(*arguments: Any) -> Any:
        if not _seen_by_autograd(arguments):
            return _below_autograd(operator, arguments)
        compiled = torch.compiler.is_compiling()
        return operator(*arguments) if compiled else function.apply(*arguments)

    return call


def undifferentiable(name: str, why: str) -> Callable[..., Any]:
    """Has the operator ``fastcount::name`` raise ``RuntimeError``, saying ``why``, where a gradient
    of it is asked for; returns a function that calls it, at less cost where none is."""

    def refuse(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(why)

    torch.library.register_autograd(f"fastcount::{name}", refuse)
    operator = getattr(torch.ops.fastcount, name)

    def call(*arguments: Any) -> Any:
        if _seen_by_autograd(arguments):
            return operator(*arguments)
        return _below_autograd(operator, arguments)

    return call
