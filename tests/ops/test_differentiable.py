"""The two ways to an operator's gradient: a function of autograd's, and the operator's own, which
compiled graphs take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

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


WITHOUT_GRADIENT: dict[str, Callable[[], object]] = {
    "density_map": lambda: ops.density_map(torch.ones(3, 2), (4, 5)),
    "gaussian_heatmap": lambda: ops.gaussian_heatmap(torch.ones(3, 2), (4, 5), 1.0),
    "knn_distance": lambda: ops.knn_distance(torch.ones(3, 2), 1),
    "neighbour_distance_map": lambda: ops.neighbour_distance_map(torch.ones(3, 2), (4, 5)),
    "cross_label": lambda: ops.cross_label(torch.ones(3, 2), (4, 5)),
    "find_peaks": lambda: ops.find_peaks(torch.ones(1, 1, 4, 5)),
    "find_peaks_padded": lambda: ops.find_peaks_padded(torch.ones(1, 1, 4, 5), max_peaks=2),
    "top_peaks_mask": lambda: ops.top_peaks_mask(torch.ones(1, 1, 4, 5), torch.ones(1, 1).long()),
    **{name: lambda each=each: each(torch.ones(1, 1, 4, 5)) for name, each in OPERATORS.items()},
}


@pytest.mark.parametrize("name", WITHOUT_GRADIENT)
def test_the_python_of_torch_library_runs_for_gradients_only(name: str) -> None:
    """It takes longer than the kernels on a small map."""
    called: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        called.add(frame.f_code.co_filename.replace("\\", "/"))

    sys.setprofile(note)
    try:
        WITHOUT_GRADIENT[name]()
    finally:
        sys.setprofile(None)
    assert any(each.endswith("fastcount/ops/differentiable.py") for each in called)
    assert not [each for each in called if each.endswith("_library/autograd.py")]
