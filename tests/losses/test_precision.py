from __future__ import annotations

import pytest
import torch

from fastcount.losses import gaussian_count_loss
from fastcount.losses.precision import at_least_float32


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_narrow_values_become_float32(narrow: torch.dtype) -> None:
    values = torch.tensor([1.5, -2.0], dtype=narrow, requires_grad=True)
    wide = at_least_float32(values)
    assert wide.dtype == torch.float32
    wide.sum().backward()
    assert torch.equal(values.grad, torch.ones_like(values))
    mean = torch.full((2,), 300.0, dtype=narrow)
    # its square is beyond float16
    assert gaussian_count_loss(mean, torch.zeros_like(mean), torch.zeros(2)).tolist() == [45e3] * 2


@pytest.mark.parametrize("wide", [torch.float32, torch.float64])
def test_wide_values_stay_what_they_are(wide: torch.dtype) -> None:
    values = torch.ones(2, dtype=wide)
    assert at_least_float32(values) is values
