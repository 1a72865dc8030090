"""Numbers that change from call to call: a compiled graph takes them without a break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fastcount import ops

SIZE = (20, 21)
OPERATORS: dict[str, Callable[[Tensor, float], Any]] = {
    "density_map, sigma": lambda p, x: ops.density_map(p, SIZE, sigma=x),
    "density_map, truncate": lambda p, x: ops.density_map(p, SIZE, truncate=x),
    "density_pyramid": lambda p, x: ops.density_pyramid(p, SIZE, sigma=x, truncate=x),
    "gaussian_heatmap": lambda p, x: ops.gaussian_heatmap(p, SIZE, x, truncate=x),
    "adaptive_sigma": lambda p, x: ops.adaptive_sigma(p, beta=x),
    "attention_map": lambda p, x: ops.attention_map(p, SIZE, sigma=x),
    "soft_count": lambda p, x: ops.soft_count(p[None, None], beta=x, steepness=x, threshold=x / 9),
    "mask_focal_loss": lambda p, x: ops.mask_focal_loss(p / 20, p / 20, alpha=x, beta=x, gamma=x),
    "weighted_smooth_l1": lambda p, x: ops.weighted_smooth_l1(p, p + 1, weight=x / 9),
    "find_peaks_padded": lambda p, x: (
        ops.find_peaks_padded(p[None, None], threshold=x, max_peaks=3).scores
    ),
    "small_object_sigma": lambda p, x: ops.small_object_sigma(p, eta=x, epsilon=x),
}


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_no_break(name: str, dynamic: bool | None) -> None:
    torch._dynamo.reset()
    operator = OPERATORS[name]
    compiled = torch.compile(operator, fullgraph=True, dynamic=dynamic, backend="eager")
    points = 20 * torch.rand(7, 2, generator=torch.Generator().manual_seed(0))
    for number in (2.0, 3.0, 4.5):
        torch.testing.assert_close(compiled(points, number), operator(points, number))
