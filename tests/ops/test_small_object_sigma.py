"""Sigma of small objects, eq. 10 of the mask focal loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastcount import ops
from fastcount.ops import reference


def test_equation_by_hand() -> None:
    sigma = ops.small_object_sigma(torch.tensor([[2.0, 5.0], [0.0, 3.0], [40.0, 30.0]]))
    expected = [5 * (1 + math.exp(-5)) / 6, (1 + math.exp(-1)) / 6, 61 / 6]
    torch.testing.assert_close(sigma, torch.tensor(expected))


@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    eta=st.sampled_from([0.0, 1.0, 2.5]),
    epsilon=st.sampled_from([1.0, 6.0]),
)
def test_any_shape(shape: list[int], eta: float, epsilon: float) -> None:
    boxes = 20 * torch.rand(*shape, 2, dtype=torch.float64)
    sigma = ops.small_object_sigma(boxes, eta=eta, epsilon=epsilon)
    assert sigma.shape == tuple(shape)
    torch.testing.assert_close(
        sigma, reference.small_object_sigma(boxes, eta=eta, epsilon=epsilon), rtol=1e-12, atol=0
    )


def test_gradient() -> None:
    boxes = (1 + 5 * torch.rand(6, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(ops.small_object_sigma, (boxes,))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"boxes_wh": [[1.0, 2.0]]}, TypeError, "boxes_wh must be a tensor"),
        ({"boxes_wh": torch.ones(2, 2, dtype=torch.int64)}, TypeError, "floating point"),
        ({"boxes_wh": torch.ones(2, 4)}, ValueError, r"shape \(\.\.\., 2\), got \(2, 4\)"),
        ({"boxes_wh": torch.tensor([[1.0, -2.0]])}, ValueError, r"not negative, got -2\.0"),
        ({"boxes_wh": torch.tensor([[1.0, torch.nan]])}, ValueError, "finite"),
        ({"eta": -1.0}, ValueError, "eta must be at least 0"),
        ({"epsilon": 0.0}, ValueError, "epsilon must be positive"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ops.small_object_sigma(**{"boxes_wh": torch.ones(1, 2), **change})
