from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcount.losses import pooled_count_loss


def plain(density, target, windows, weights, offset):
    """The equation, cell by cell."""
    batch, _, height, width = density.shape
    total = 0.0
    for k, weight in zip(windows, weights, strict=True):
        for b in range(batch):
            error = 0.0
            for top in range(0, height, k):
                for left in range(0, width, k):
                    window = (b, 0, slice(top, top + k), slice(left, left + k))
                    error += abs(float(density[window].sum() - target[window].sum()))
            total += weight * error / (float(target[b].sum()) + offset) / batch
    return total


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    windows=st.lists(st.integers(1, 15), min_size=1, max_size=3),
    seed=st.integers(0, 999),
)
def test_equals_the_equation_on_any_shape(height, width, windows, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(2, 1, height, width, generator=generator, dtype=torch.float64)
    target = torch.rand(2, 1, height, width, generator=generator, dtype=torch.float64)
    weights = [0.5 + i for i in range(len(windows))]
    loss = pooled_count_loss(density, target, windows=windows, weights=weights, offset=3.0)
    assert float(loss) == pytest.approx(plain(density, target, windows, weights, 3.0), rel=1e-9)


def test_gradient() -> None:
    torch.manual_seed(0)
    density = torch.rand(2, 1, 7, 9, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, 7, 9, dtype=torch.float64) + 2  # away from the kink at zero
    assert torch.autograd.gradcheck(lambda d: pooled_count_loss(d, target), density)


def test_a_perfect_map_costs_nothing_and_an_empty_truth_is_finite() -> None:
    target = torch.rand(1, 1, 8, 8)
    assert pooled_count_loss(target, target) == 0
    empty = torch.zeros(1, 1, 8, 8)
    # 64 too many, over 0 + 10, in each of four window sizes: (.25 + .5 + 1 + 1) * 6.4
    assert float(pooled_count_loss(empty + 1, empty)) == pytest.approx(2.75 * 6.4)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        pooled_count_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
