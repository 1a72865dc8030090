"""Small rendered pictures whose truth is known, for every model's tests."""

from __future__ import annotations

import pytest
import torch
from rendered_spots import Render, render_spots


@pytest.fixture(scope="session")
def render() -> Render:
    """``render(counts, (H, W))``: a picture with so many bright spots for each count."""
    return render_spots


@pytest.fixture(autouse=True)
def _one_thread_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
