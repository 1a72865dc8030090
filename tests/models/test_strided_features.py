"""Compact backbones of models that read one map, and those models on MobileNetV2."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastcount.models.countseg import CountSeg
from fastcount.models.parts import strided_features
from fastcount.models.parts.mobilenet_v2 import MobileNetV2Features
from fastcount.models.parts.strided_features import MobileNetV2Strides
from fastcount.models.raznet import RAZNet


@pytest.mark.parametrize(("strides", "channels"), [((32,), 320), ((8, 16), 128), ((8,), 32)])
def test_maps_are_mobilenets_own_with_nothing_beyond_them(
    strides: tuple[int, ...], channels: int
) -> None:
    torch.manual_seed(0)
    whole = MobileNetV2Features(frozen=0)
    part = MobileNetV2Strides(strides)
    part.body.load_state_dict(whole.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        found, maps = part(images), dict(zip((8, 16, 32), whole(images), strict=True))
    assert found.shape == (1, part.channels, 64 // strides[0], 96 // strides[0])
    assert part.channels == channels
    first = maps[strides[0]]
    torch.testing.assert_close(found[:, : first.shape[1]], first)
    part(images).sum().backward()
    assert all(p.grad is not None for p in part.parameters())  # no weight is idle


def test_maps_cover_pictures_of_any_size() -> None:
    with torch.no_grad():
        assert MobileNetV2Strides((8, 16))(torch.rand(1, 3, 37, 9)).shape[2:] == (5, 2)
        assert MobileNetV2Strides((32,))(torch.rand(1, 3, 33, 64)).shape[2:] == (2, 2)


def test_other_strides_are_refused() -> None:
    with pytest.raises(ValueError, match="strides"):
        MobileNetV2Strides((4,))


def test_first_blocks_stay_frozen_where_they_were_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strided_features, "load_tflite", lambda features, path: None)
    model = RAZNet(stage="zoom", backbone="mobilenet_v2", width=1 / 16, weights="x.tflite")
    assert model.zoom is not None
    assert not any(p.requires_grad for p in model.backbone.parameters())
    body = model.zoom.backbone.body
    learns = [any(p.requires_grad for p in part.parameters()) for part in [body.stem, *body.blocks]]
    assert learns == [False] * 4 + [True] * (len(learns) - 4)
    counting = RAZNet(stage="counting", backbone="mobilenet_v2", width=1 / 16, weights="x.tflite")
    assert not counting.backbone.body.stem.weight.requires_grad
    assert counting.backbone.body.blocks[12].project.weight.requires_grad


def test_peaks_are_traced_through_its_convolutions() -> None:
    """Its padding of stride-2 convolutions is not theirs alone: the walker's must have it, too."""
    torch.manual_seed(1)
    model = CountSeg(classes=("a",), backbone="mobilenet_v2", channels=8).eval()
    for module in model.modules():  # bias 0 and positive weights: the walker takes every way
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.weight, 0, 1 / module.weight[0].numel())
    found = model.segment(torch.rand(1, 3, 64, 96), [torch.ones(1, 64, 96, dtype=torch.bool)])
    assert len(found) == 1
    assert torch.isfinite(found[0].scores).all()
