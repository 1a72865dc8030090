"""Derivatives that there are not: refused, never silently zero."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastcount import ops

MAPS = {
    "focal_loss": lambda x: ops.focal_loss(x, torch.full_like(x, 0.5)),
    "heatmap_focal_loss": lambda x: ops.heatmap_focal_loss(x, torch.full_like(x, 0.5)),
    "mask_focal_loss": lambda x: ops.mask_focal_loss(x, torch.full_like(x, 0.5), from_logits=True),
    "weighted_smooth_l1": lambda x: ops.weighted_smooth_l1(x, torch.full_like(x, 0.5), weight=0.1),
    "spatial_softmax": lambda x: ops.spatial_softmax(x).sum(),
    "soft_count": lambda x: ops.soft_count(x)[1].sum(),
}
ONCE = {
    **MAPS,
    "peak_map": lambda x: ops.peak_map(x).sum(),
    "find_peaks": lambda x: ops.find_peaks(x).scores.sum(),
    "find_peaks_padded": lambda x: ops.find_peaks_padded(x, max_peaks=3).scores.sum(),
    "top_peaks_mask": lambda x: ops.top_peaks_mask(x, torch.ones(1, 1, dtype=torch.int64)).sum(),
}

SIZE = (5, 6)
POINTS = {
    "density_map": lambda x: ops.density_map(x, SIZE).sum(),
    "density_map of a batch": lambda x: ops.density_map([x, x], SIZE).sum(),
    "density_map, sigma": lambda x: ops.density_map(x.detach(), SIZE, sigma=x[:, 0]).sum(),
    "density_pyramid": lambda x: ops.density_pyramid(x, SIZE, strides=(1, 2))[0].sum(),
    "gaussian_heatmap": lambda x: ops.gaussian_heatmap(x, SIZE, 1.0).sum(),
    "knn_distance": lambda x: ops.knn_distance(x, 2).sum(),
    "adaptive_sigma": lambda x: ops.adaptive_sigma(x).sum(),
    "cross_label": lambda x: ops.cross_label(x, SIZE).sum(),
    "neighbour_distance_map": lambda x: ops.neighbour_distance_map(x, SIZE).sum(),
    "attention_map": lambda x: ops.attention_map(x, SIZE).sum(),
}
COMPARED = {
    "target": lambda x: ops.heatmap_focal_loss(torch.full_like(x, 0.5).detach(), x),
    "mask": lambda x: ops.mask_focal_loss(
        torch.full_like(x, 0.5).detach(), torch.full_like(x, 0.5).detach(), mask=x
    ),
    "smooth L1's target": lambda x: ops.weighted_smooth_l1(
        torch.full_like(x, 0.5).detach(), x, weight=0.1
    ),
}


def some_map() -> Tensor:
    return torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", MAPS)
def test_a_second_derivative_is_refused(name: str) -> None:
    function = MAPS[name]
    x = some_map().requires_grad_()
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    for wanted in (x, weight):
        (grad,) = torch.autograd.grad(function(x * weight), wanted, create_graph=True)
        with pytest.raises(RuntimeError, match="no second derivative"):
            torch.autograd.grad(grad.square().sum(), wanted)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.functional.hessian(function, some_map())


@pytest.mark.parametrize("name", POINTS)
def test_forward_mode_of_points_is_refused(name: str) -> None:
    function: Callable[[Tensor], Tensor] = POINTS[name]
    x = 1 + 3 * torch.rand(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(RuntimeError, match="no forward-mode derivative"):
        torch.func.jvp(function, (x,), (torch.ones_like(x),))
    function(x)


@pytest.mark.parametrize("name", COMPARED)
def test_what_is_compared_with_has_no_derivative(name: str) -> None:
    function: Callable[[Tensor], Tensor] = COMPARED[name]
    with pytest.raises(RuntimeError, match="no forward-mode derivative"):
        torch.func.jvp(function, (some_map(),), (torch.ones_like(some_map()),))
    with pytest.raises(RuntimeError, match=r"requires_grad is set, .*pass (target|mask).detach"):
        function(some_map().requires_grad_())
    function(some_map())


@pytest.mark.parametrize("name", ONCE)
def test_forward_mode_is_refused(name: str) -> None:
    function: Callable[[Tensor], Tensor] = ONCE[name]
    x = some_map()
    with pytest.raises(RuntimeError, match="no forward-mode derivative"):
        torch.func.jvp(function, (x,), (torch.ones_like(x),))
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="no forward-mode derivative"):
        function(forward_ad.make_dual(x, torch.ones_like(x)))
    function(x)  # and is over with the level
