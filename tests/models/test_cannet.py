"""CANNet: its context by hand, its shape, learning pictures by heart."""

from __future__ import annotations

import density
import pytest
import torch
import torch.nn.functional as F
from rendered_spots import Render

from fastcount.models.cannet import CANNet, ScaleContext


def test_context_by_hand() -> None:
    """Averages over j x j blocks, stretched, weighted by the sigmoid of their contrast."""
    context = ScaleContext(3, pretrained=False).double()
    features = torch.rand(1, 3, 12, 18, dtype=torch.float64)
    over, under = torch.zeros_like(features), torch.zeros_like(features)
    for j, grid in enumerate((1, 2, 3, 6)):
        blocks = features.reshape(1, 3, grid, 12 // grid, grid, 18 // grid).mean(dim=(3, 5))
        mixed = torch.einsum("oc,bchw->bohw", context.scales[j].weight[..., 0, 0], blocks)
        scale = F.interpolate(mixed, size=(12, 18), mode="bilinear", align_corners=False)
        contrast = torch.einsum(
            "oc,bchw->bohw", context.weights[j].weight[..., 0, 0], scale - features
        )
        weight = 1 / (1 + torch.exp(-contrast))
        over, under = over + weight * scale, under + weight
    torch.testing.assert_close(context(features), over / under)


def test_context_of_an_even_picture_is_the_mean_of_its_scales() -> None:
    context = ScaleContext(2, pretrained=False)
    with torch.no_grad():
        for scale in context.scales:
            scale.weight.copy_(torch.eye(2)[..., None, None])
    even = torch.full((1, 2, 7, 9), 0.3)
    torch.testing.assert_close(context(even), even)


def test_learns_a_few_pictures(render: Render) -> None:
    images, targets = render((10, 14, 20), (48, 48))
    model = CANNet(width=0.125, sigma=4.0)
    assert density.overfit(model, images, targets, lr=1e-3, steps=150) < 0.02


@pytest.mark.parametrize("size", [(64, 48), (37, 50), (8, 8)])
def test_output_covers_every_pixel(size: tuple[int, int]) -> None:
    output = CANNet(width=0.05)(torch.rand(2, 3, *size))
    assert output.density.shape == (2, 1, -(-size[0] // 8), -(-size[1] // 8))
    assert output.stride == 8


def test_sees_the_whole_picture() -> None:
    assert density.reach(CANNet(width=0.02), 48) > CANNet.tiling.margin


def test_empty_truth_has_a_gradient(render: Render) -> None:
    images, targets = render((0, 0), (24, 40))
    model = CANNet(width=0.05)
    model.loss(model(images), targets)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert sum(float(w.weight.grad.abs().sum()) for w in model.context.weights) > 0


def test_compiles_in_one_graph() -> None:
    model = CANNet(width=0.05).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for size in ((32, 32), (21, 40)):
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(compiled(images).density, model(images).density)


@pytest.mark.parametrize("contrast", [10.0, 25.0])
def test_weights_beyond_float16_still_average(contrast: float) -> None:
    """Four scales of one value, each weighted by sigmoid(-contrast): 5e-5, 1e-11."""
    context = ScaleContext(2, pretrained=False)
    with torch.no_grad():
        for scale, weigh in zip(context.scales, context.weights, strict=True):
            scale.weight.copy_(2 * torch.eye(2)[..., None, None])
            weigh.weight.copy_(-contrast * torch.eye(2)[..., None, None])
    features = torch.ones(1, 2, 7, 9, requires_grad=True)
    with torch.autocast("cpu", torch.float16):
        found = context(features.half())
    assert found.dtype == torch.float16
    if contrast < 14:  # four such weights add up to more than the least sum
        torch.testing.assert_close(found, torch.full_like(found, 2.0))
    (1024 * found.float()).sum().backward()
    for parameter in (features, *context.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
