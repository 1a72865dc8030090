"""CSRNet: its size and cost, its shape, its initialisation, learning pictures by heart."""

from __future__ import annotations

import density
import numpy as np
import pytest
import torch
from rendered_spots import Render

from fastcount.models import Target, create_model
from fastcount.models.csrnet import CSRNet
from fastcount.models.parts.vgg_frontend import VGGFrontEnd
from fastcount.models.profile import profile_model


def test_size_and_cost_are_the_papers() -> None:
    """DeepCount's Tables 5 and 6, million multiply-accumulates at 384x512."""
    with torch.device("meta"):
        profile = profile_model(create_model("csrnet"), (384, 512))
    assert round(profile.part("backbone")) == 54_698
    assert round(profile.part("back_end")) == 26_500
    assert round(profile.mmacs) == 81_198
    assert round(profile.params / 1e6, 2) == 16.26
    printed = ["7248", "7248", "7248", "3624", "906", "226", "0.2"]
    ours = [layer for layer in profile.layers if layer.name.startswith("back_end.")]
    assert [f"{x.mmacs:.1f}" if x.mmacs < 1 else f"{x.mmacs:.0f}" for x in ours] == printed
    assert ours[0].output == (512, 48, 64)


def test_learns_a_few_pictures(render: Render) -> None:
    images, targets = render((10, 14, 20), (48, 48))
    model = CSRNet(width=0.125, sigma=4.0)
    assert density.overfit(model, images, targets, lr=1e-3, steps=120) < 0.02


@pytest.mark.parametrize("size", [(64, 48), (37, 50), (8, 8)])
def test_output_covers_every_pixel(size: tuple[int, int]) -> None:
    output = CSRNet(width=0.05)(torch.rand(2, 3, *size))
    assert output.density.shape == (2, 1, -(-size[0] // 8), -(-size[1] // 8))
    assert output.stride == 8


def test_tiles_overlap_as_far_as_it_sees() -> None:
    margin = CSRNet.tiling.margin
    # A maximum passes a gradient to one of its four pixels, so up to 7 are not seen here.
    assert margin - 16 < density.reach(CSRNet(width=0.02), 48) <= margin


def test_empty_truth_has_a_gradient(render: Render) -> None:
    images, targets = render((0, 0), (24, 40))
    model = CSRNet(width=0.05)
    model.loss(model(images), targets)["loss"].backward()
    for parameter in (model.back_end[-1].weight, model.backbone.features[0].weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_compiles_in_one_graph() -> None:
    model = CSRNet(width=0.05).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for size in ((32, 32), (21, 40)):
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(compiled(images).density, model(images).density)


def test_pictures_are_normalised_as_imagenets() -> None:
    model = CSRNet(width=0.05).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    torch.testing.assert_close(model.normalize(mean), torch.zeros(1, 3, 16, 16))
    with torch.no_grad():
        expected = model.back_end(model.backbone(torch.zeros(1, 3, 16, 16)))
        torch.testing.assert_close(model(mean).density, expected)


def test_nothing_is_fetched_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*arguments: object, **options: object) -> None:
        raise AssertionError("weights were fetched")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetch)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    create_model("csrnet", width=0.05)
    with pytest.raises(AssertionError, match="fetched"):
        create_model("csrnet", weights="imagenet")


def test_imagenet_weights_land_in_the_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.models

    theirs = torchvision.models.vgg16()
    asked = []

    def vgg16(*, weights: object) -> torch.nn.Module:
        asked.append(weights)
        return theirs

    monkeypatch.setattr("torchvision.models.vgg16", vgg16)
    front = VGGFrontEnd(weights="imagenet")
    assert asked == [torchvision.models.VGG16_Weights.IMAGENET1K_V1]
    assert len(front.state_dict()) == 20
    images = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(front(images), theirs.features[:23](images))
    model = create_model("csrnet", weights="imagenet")
    assert isinstance(model, CSRNet)
    assert "weights" not in model.config
    assert model.back_end[0].weight.std().item() == pytest.approx(0.01, rel=0.05)  # the paper's


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="only 'imagenet' can be fetched, got 'places'"):
        create_model("csrnet", weights="places")
    with pytest.raises(ValueError, match=r"need width=1, got width=0\.5"):
        create_model("csrnet", weights="imagenet", width=0.5)
    with pytest.raises(ValueError, match="width: must be greater than 0"):
        create_model("csrnet", width=0.0)


@pytest.mark.parametrize("name", ["mcnn", "csrnet", "cannet"])
def test_sides_that_are_no_whole_cells(name: str) -> None:
    """The picture ends where it ends: its size is told, and points beyond it count for nothing."""
    torch.manual_seed(0)
    options = {} if name == "mcnn" else {"width": 1 / 16}
    model = create_model(name, sigma=4.0, **options).eval()
    output = model(torch.rand(1, 3, 97, 101))
    (counting,) = model.decode(output)
    assert counting.size == (97, 101)
    counting.overlay(np.zeros((97, 101, 3), np.uint8))
    outside = Target(count=0, points=torch.tensor([[50.0, 98.5]]))
    nothing = Target(count=0, points=torch.zeros(0, 2))
    assert torch.equal(model.loss(output, [outside])["loss"], model.loss(output, [nothing])["loss"])
