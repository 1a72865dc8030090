"""RAZ-Net's zooming, with stand-ins for what it sees."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastcount.models.raznet import RAZNet, RAZNetOutput


def _small(**options: Any) -> RAZNet:
    return RAZNet(stage="zoom", width=1 / 16, **options)


class _Spots(nn.Module):
    """Stands for a zooming network: sees a point at every bright top, and is told the crowd."""

    def __init__(self, attention: float) -> None:
        super().__init__()
        self.level, self.calls = attention, 0

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += len(images)
        bright = images[:, :1]
        logits = 20 * (bright - 0.6)
        return logits, torch.full_like(logits, self.level)


def _one_spot(x: int, y: int, size: tuple[int, int]) -> Tensor:
    down, across = torch.arange(size[0])[:, None] - y, torch.arange(size[1])[None] - x
    return torch.exp(-(down**2 + across**2) / 8.0).expand(1, 3, *size).contiguous()


def _told(images: Tensor, logits: Tensor, crowd: float) -> RAZNetOutput:
    density = torch.zeros(1, 1, images.shape[-2] // 8, images.shape[-1] // 8)
    return RAZNetOutput(images, density, logits, torch.full_like(logits, crowd))


@pytest.mark.parametrize("depth", [2, 3])
def test_zooming_finds_what_main_net_missed(depth: int) -> None:
    model = _small(depth=depth).eval()
    images = _one_spot(21, 13, (48, 48))
    model.zoom = _Spots(attention=5.0)
    nothing = torch.full((1, 1, 48, 48), -30.0)
    (found,) = model.locate(_told(images, nothing, 5.0))
    assert len(found.points) == 1
    assert torch.allclose(found.points[0], torch.tensor([21.0, 13.0]), atol=0.6)
    (alone,) = model.locate(_told(images, nothing, 5.0), depth=1)
    assert len(alone.points) == 0


def test_zooming_takes_back_what_is_not_there() -> None:
    model = _small().eval()
    model.zoom = _Spots(attention=-20.0)
    images = torch.zeros(1, 3, 48, 48)
    logits = torch.full((1, 1, 48, 48), -30.0)
    logits[0, 0, 9:12, 9:12] = 30.0
    crowd = torch.full_like(logits, -20.0)
    crowd[0, 0, 2:18, 2:18] = 20.0
    output = RAZNetOutput(images, torch.zeros(1, 1, 6, 6), logits, crowd)
    assert len(model.locate(output, depth=1)[0].points) == 1
    assert len(model.locate(output, depth=2)[0].points) == 0


def test_zooming_ends_where_it_is_calm() -> None:
    model = _small(depth=4).eval()
    model.zoom = _Spots(attention=-20.0)
    images, logits = _one_spot(20, 20, (48, 48)), torch.full((1, 1, 48, 48), -30.0)
    model.locate(_told(images, logits, -20.0))
    assert model.zoom.calls == 0
    model.locate(_told(images, logits, 5.0))
    assert 0 < model.zoom.calls <= 10
