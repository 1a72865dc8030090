"""The squared error that MCNN, CSRNet and CANNet learn their densities by."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcount.models import Target
from fastcount.models.base import DensityOutput
from fastcount.models.cannet import CANNet


def test_gradient() -> None:
    model = CANNet(width=1 / 64, sigma=3.0)
    targets = [
        Target(count=2.0, points=torch.tensor([[5.0, 9.5], [20.0, 3.0]])),
        Target(count=0.0, points=torch.zeros(0, 2)),
    ]
    density = torch.rand(2, 1, 2, 3, dtype=torch.float64, requires_grad=True)

    def loss(maps: Tensor) -> Tensor:
        return model.loss(DensityOutput(maps, 8), targets)["loss"]

    assert torch.autograd.gradcheck(loss, density)
