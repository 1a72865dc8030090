"""What a test draws from PyTorch's own generator does not depend on the tests before it."""

from __future__ import annotations

import pytest
import torch


@pytest.mark.parametrize("turn", range(2))
def test_every_test_draws_the_same(turn: int) -> None:
    drawn = torch.rand(3)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(0)))
