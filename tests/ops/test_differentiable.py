"""The two ways to an operator's gradient: a function of autograd's, and the operator's own, which
compiled graphs take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastcount import ops

OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "focal_loss": lambda x: ops.focal_loss(x, torch.ones_like(x), from_logits=True),
    "mask_focal_loss": lambda x: ops.mask_focal_loss(x, torch.full_like(x, 0.4)),
    "weighted_smooth_l1": lambda x: ops.weighted_smooth_l1(x, torch.full_like(x, 0.5), weight=0.1),
    "spatial_softmax": lambda x: ops.spatial_softmax(x).square().sum(),
    "soft_count": lambda x: ops.soft_count(x)[1].sum(),
    "peak_map": lambda x: ops.peak_map(x).square().sum(),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_both_give_the_same_gradient(name: str) -> None:
    operator = OPERATORS[name]
    x = torch.rand(2, 1, 9, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    known = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(operator(known), known)
    assert expected.any()
    compiled = torch.compile(operator, fullgraph=True, backend="aot_eager")
    (through_graph,) = torch.autograd.grad(compiled(known), known)
    torch.testing.assert_close(through_graph, expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_no_graph_unless_wanted(name: str) -> None:
    x = torch.rand(1, 1, 4, 5)
    assert not OPERATORS[name](x).requires_grad
    x.requires_grad_()
    assert OPERATORS[name](x).requires_grad
    with torch.no_grad():
        assert not OPERATORS[name](x).requires_grad
