"""The feature pyramid that leaf counters and detectors stand on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import Module
from torchvision.models import detection

from fastcount.models import create_model
from fastcount.models.parts.pyramid import Backbone, BackbonePyramid, Coarse

SMALL = "mobilenetv3_small_100"


@pytest.mark.parametrize("backbone", [SMALL, "mobilenet_v2"])
@pytest.mark.parametrize("size", [(64, 64), (61, 97), (33, 1)])
def test_maps_of_any_picture(backbone: str, size: tuple[int, int]) -> None:
    pyramid = BackbonePyramid(backbone, channels=8).eval()
    maps = pyramid(torch.rand(2, 3, *size))
    expected = [(2, 8, *(math.ceil(side / 2**level) for side in size)) for level in range(3, 8)]
    assert [tuple(one.shape) for one in maps] == expected


def test_the_paper_s_own_on_shapes_alone() -> None:
    with torch.device("meta"):
        pyramid = BackbonePyramid()
        maps = pyramid(torch.rand(1, 3, 800, 1333))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (256, 100, 167),
        (256, 50, 84),
        (256, 25, 42),
        (256, 13, 21),
        (256, 7, 11),
    ]
    # ResNet-50 without its classifier has 23,508,032 parameters; laterals 1x1, outputs 3x3.
    laterals = sum(c * 256 + 256 for c in (512, 1024, 2048))
    outputs = 3 * (256 * 256 * 9 + 256)
    further = 2048 * 256 * 9 + 256 + 256 * 256 * 9 + 256
    count = sum(p.numel() for p in pyramid.parameters())
    assert count == 23_508_032 + laterals + outputs + further


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("fcos", detection.fcos_resnet50_fpn),
        ("retinanet", detection.retinanet_resnet50_fpn_v2),
        ("faster_rcnn", detection.fasterrcnn_resnet50_fpn),
    ],
)
def test_detectors_are_as_large_as_torchvision_s(name: str, theirs: Callable[..., Module]) -> None:
    """Also their coarsest levels: made of P5, of C5 and by pooling."""
    background = 1 if name == "faster_rcnn" else 0
    with torch.device("meta"):
        ours = create_model(name, classes=["a", "b", "c"])
        other = theirs(weights=None, weights_backbone=None, num_classes=3 + background)
    numbers = [sum(p.numel() for p in model.parameters()) for model in (ours, other)]
    assert numbers[0] == numbers[1]


def test_levels_pooled_from_the_one_before() -> None:
    pyramid = BackbonePyramid(SMALL, channels=8, levels=(4, 6, 7), coarse="pool").eval()
    _, sixth, seventh = pyramid(torch.rand(1, 3, 256, 256))
    assert sixth.shape[2:] == (4, 4)
    torch.testing.assert_close(seventh, sixth[..., ::2, ::2])
    assert not pyramid.further


@pytest.mark.parametrize("coarse", ["P5", "pool"])
@pytest.mark.parametrize("levels", [(3, 4), (3, 4, 6)])
def test_all_weights_learn(coarse: Coarse, levels: tuple[int, ...]) -> None:
    pyramid = BackbonePyramid(SMALL, channels=8, levels=levels, coarse=coarse)
    sum(one.square().mean() for one in pyramid(torch.rand(2, 3, 128, 128))).backward()
    assert not [name for name, p in pyramid.named_parameters() if p.grad is None]


@pytest.mark.parametrize("levels", [(3,), (4, 6), (2, 3, 4, 5)])
def test_only_the_levels_asked_for_and_all_their_weights_learn(levels: tuple[int, ...]) -> None:
    pyramid = BackbonePyramid(SMALL, channels=8, levels=levels)
    maps = pyramid(torch.rand(2, 3, 64, 64))
    assert [one.shape[-1] for one in maps] == [64 >> level for level in levels]
    sum(one.square().mean() for one in maps).backward()
    without = [name for name, p in pyramid.named_parameters() if p.grad is None]
    assert not without


def test_a_level_does_not_depend_on_which_others_are_given() -> None:
    whole, part = BackbonePyramid(SMALL, channels=8), BackbonePyramid(SMALL, 8, (3, 6))
    part.load_state_dict(whole.state_dict(), strict=False)
    whole.eval(), part.eval()
    images = torch.rand(1, 3, 64, 96)
    first, _, _, sixth, _ = whole(images)
    for ours, theirs in zip(part(images), (first, sixth), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_compiles_without_a_break() -> None:
    pyramid = BackbonePyramid(SMALL, channels=8).eval()
    images = torch.rand(1, 3, 64, 64)
    compiled = torch.compile(pyramid, fullgraph=True, backend="eager")
    for ours, theirs in zip(compiled(images), pyramid(images), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="no feature network 'resnet51'"):
        Backbone("resnet51")
    with pytest.raises(ValueError, match="weights: resnet50 can start from None or 'imagenet'"):
        Backbone("resnet50", "coco")
    with pytest.raises(ValueError, match=r"levels: need rising .* from one of \[2, 3, 4, 5\] on"):
        BackbonePyramid("mobilenet_v2", levels=(1, 2))
    with pytest.raises(ValueError, match=r"levels: .* got \(4, 3\)"):
        BackbonePyramid("mobilenet_v2", levels=(4, 3))


def test_public_mobilenet_weights_start_it(peers_dir: Path) -> None:
    path = peers_dir / "mobilenet_v2_imagenet_int8_backbone.tflite"
    pyramid = BackbonePyramid("mobilenet_v2", 8, weights=str(path)).eval()
    assert not pyramid.backbone.body.stem.weight.requires_grad
    for one in pyramid.backbone(torch.rand(1, 3, 65, 96) * 2 - 1).values():
        assert 0.5 < one.std() < 10
