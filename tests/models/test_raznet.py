"""RAZ-Net: its size, stages, counting, files, and pictures learned by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import density
import numpy as np
import pytest
import torch
from rendered_spots import Render
from torch import Tensor

from fastcount.models import Target, create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.parts.grid_fusion import grid_counts
from fastcount.models.profile import profile_model
from fastcount.models.raznet import RAZNet, RAZNetOutput
from fastcount.predict import TorchEngine
from fastcount.runtime.counter import Counter

STAGES = ("counting", "localization", "attention", "main", "zoom")


def small(stage: Any, **options: Any) -> RAZNet:
    return RAZNet(stage=stage, width=1 / 16, **options)


def test_size_of_the_papers_backbone() -> None:
    with torch.device("meta"):
        model = RAZNet(stage="zoom")
        profile = profile_model(RAZNet(stage="main"), (384, 512))
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert sizes == {
        "normalize": 0,
        "backbone": 7_635_264,  # VGG-16 to conv4_3
        "counting": 8_628_225,  # CSRNet's back end
        "localization": 10_607_041,
        "attention": 73_857,
        "zoom": 7_635_264 + 10_607_041 + 36_993,
    }
    assert round(profile.part("backbone")) == 54_698
    assert round(profile.part("counting")) == 26_500
    outputs = {layer.name: layer.output for layer in profile.layers}
    assert outputs["counting.density"] == (1, 48, 64)
    assert outputs["localization.logits"] == (1, 384, 512)
    assert outputs["attention.1"] == (1, 384, 512)


@pytest.mark.slow
def test_one_training_step_of_the_papers_backbone(render: Render) -> None:
    images, targets = render((3,), (32, 32))
    model = RAZNet(stage="main").train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.95)
    before = [p.detach().clone() for p in model.parameters()]
    model.loss(model(images), targets)["loss"].backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("backbone", ["vgg16", "mobilenetv3_small_050"])
@pytest.mark.parametrize("size", [(40, 64), (37, 50), (9, 8)])
def test_output_covers_every_pixel(backbone: str, size: tuple[int, int]) -> None:
    output = small("main", backbone=backbone).eval()(torch.rand(2, 3, *size))
    assert output.density.shape == (2, 1, -(-size[0] // 8), -(-size[1] // 8))
    assert output.logits is not None
    assert output.attention is not None
    assert output.logits.shape == output.attention.shape == (2, 1, *size)


def _parts(stage: str) -> set[str]:
    return {
        "counting": {"backbone", "counting"},
        "localization": {"localization"},
        "attention": {"attention"},
        "main": {"backbone", "counting", "localization", "attention"},
        "zoom": {"zoom"},
    }[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_changes_its_own_parts_alone(stage: str, render: Render) -> None:
    """To the last bit, the statistics of batch norms included."""
    # in smaller pictures regions shrink to one cell, of which batch norm learns nothing
    images, targets = render((6, 3), (96, 96))
    model = small(stage, backbone="mobilenetv3_small_050").train()
    if stage == "zoom":
        _crowded_everywhere(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    parts = model.loss(model(images), targets)
    torch.testing.assert_close(parts["loss"], sum(v for k, v in parts.items() if k != "loss"))
    parts["loss"].backward()
    optimizer.step()
    changed = {
        key.split(".")[0]
        for key, value in model.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert changed == _parts(stage)


def _crowded_everywhere(model: RAZNet) -> None:
    """An attention of sigmoid(2) at every pixel: regions everywhere, whatever is to be seen."""
    with torch.no_grad():
        for layer in (model.attention, model.zoom.attention if model.zoom else None):
            if layer is not None:
                layer[-1].weight.zero_()
                layer[-1].bias.fill_(2.0)


def test_stages_follow_one_another(tmp_path: Path) -> None:
    """Each starts from the file of the one before; the zooming network from Main-Net's copy."""
    images = torch.rand(1, 3, 40, 48)
    model = small("counting")
    for stage in ("localization", "attention", "zoom"):
        save_model(model, tmp_path / "a.safetensors")
        following = small(stage)
        following.load_state_dict(load_model(tmp_path / "a.safetensors").state_dict())
        with torch.no_grad():
            assert torch.equal(following(images).density, model(images).density)
        model = following
    assert model.zoom is not None
    main, zoom = model.state_dict(), model.zoom.state_dict()
    for key, value in zoom.items():
        if value.ndim == 4:
            assert torch.equal(value, main[key][:, : value.shape[1]]), key
        else:
            assert torch.equal(value, main[key]), key
    # weights of its own are kept
    with torch.no_grad():
        model.zoom.attention[-1].bias.fill_(7.0)
    save_model(model, tmp_path / "b.safetensors")
    loaded = load_model(tmp_path / "b.safetensors")
    assert isinstance(loaded, RAZNet)
    assert loaded.zoom is not None
    assert loaded.zoom.attention[-1].bias.item() == 7.0


def test_file_brings_everything_back(tmp_path: Path) -> None:
    model = small("zoom", depth=3, sigma=4.0).eval()
    model.theta.copy_(torch.arange(16.0).view(4, 4))
    model.theta[0, 0] = -torch.inf
    save_model(model, tmp_path / "a.safetensors")
    loaded = load_model(tmp_path / "a.safetensors")
    assert isinstance(loaded, RAZNet)
    assert torch.equal(loaded.theta, model.theta)
    assert (loaded.depth, loaded.sigma, loaded.report) == (3, 4.0, "fusion")
    images = torch.rand(1, 3, 48, 40)
    with torch.no_grad():
        (a,), (b,) = (m.decode(m(images)) for m in (model, loaded))
    assert a.count == b.count


def test_counts_are_those_reported(render: Render) -> None:
    images, _ = render((9, 4), (64, 64))
    model = small("main").eval()
    density_map = torch.rand(2, 1, 8, 8)
    logits = torch.full((2, 1, 64, 64), -30.0)
    for x, y in ((5, 5), (40, 9), (40, 50)):
        logits[0, 0, y, x] = 60.0  # a ninth of its sigmoid is below 0.5: no peak
        logits[0, 0, y - 1 : y + 2, x - 1 : x + 2] = 30.0
    output = RAZNetOutput(images, density_map, logits, torch.zeros_like(logits))
    counted = {}
    for report in ("density", "localization", "average", "fusion"):
        model.report = report
        counted[report] = model.decode(output)
    sums = density_map.sum(dim=(1, 2, 3)).tolist()
    assert [c.count for c in counted["density"]] == pytest.approx(sums)
    assert [c.count for c in counted["localization"]] == [3, 0]
    assert [c.count for c in counted["average"]] == pytest.approx([(sums[0] + 3) / 2, sums[1] / 2])
    assert [c.count for c in counted["fusion"]] == [c.count for c in counted["average"]]
    first = counted["localization"][0]
    assert first.points is not None
    assert first.points.tolist() == [[5, 5], [40, 9], [40, 50]]
    # theta moves a cell of the grid to the density alone, and the map goes with the count
    model.report = "fusion"
    model.theta[0, 0] = -torch.inf
    fused = model.decode(output)[0]
    own = density_map[0, 0, :2, :2].sum()
    assert fused.count == pytest.approx((sums[0] + 3) / 2 + float(own - (own + 1) / 2))
    assert fused.density is not None
    assert fused.density.sum() == pytest.approx(fused.count, rel=1e-6)
    assert fused.zone([(-0.5, -0.5), (63.5, -0.5), (63.5, 63.5), (-0.5, 63.5)]) == pytest.approx(
        fused.count, rel=1e-5
    )


def test_fusion_is_estimated_from_training_pictures() -> None:
    model = small("main")
    truth = torch.arange(1.0, 7.0).view(6, 1, 1).expand(6, 4, 4) ** 2
    # the density is right above 9, the mean of both below
    dense = torch.where(truth > 9, truth, truth + 2)
    located = torch.where(truth > 9, truth / 2, truth - 2)
    model.fit_fusion(dense, located, truth)
    assert ((model.theta > 9) & (model.theta <= 12)).all()
    maps = dense.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None] / 4
    torch.testing.assert_close(grid_counts(maps), dense)


def test_target_kernels_are_the_papers(render: Render) -> None:
    """exp(-d^2 / s^2) with s = 0.1 x the mean distance to the four nearest others."""
    points = torch.tensor([[10.0, 10.0], [90.0, 10.0], [10.0, 90.0], [90.0, 90.0], [50.0, 50.0]])
    images = torch.zeros(1, 3, 104, 104)
    model = small("counting")
    targets: list[Target] = [{"count": 5.0, "points": points}]
    output = RAZNetOutput(images, torch.zeros(1, 1, 13, 13), None, None)
    distances = torch.cdist(points.double(), points.double()).sort(dim=1).values[:, 1:5]
    sigmas = (0.1 * distances.mean(dim=1) / 2**0.5).tolist()
    truth = density.slow_density(points, sigmas, (104, 104), 8)
    expected = float(np.sqrt((truth**2).mean()))
    assert float(model.loss(output, targets)["loss"]) == pytest.approx(expected, rel=1e-5)


def test_zoom_learns_on_what_main_net_proposes(render: Render) -> None:
    """The points of a region are those of the picture, enlarged with it."""
    images, targets = render((7,), (48, 48))
    model = small("zoom").train()
    _crowded_everywhere(model)
    seen: list[tuple[Tensor, list[Tensor]]] = []
    original = model._localization_loss

    def note(logits: Tensor, points: list[Tensor]) -> Tensor:
        seen.append((logits, points))
        return original(logits, points)

    model._localization_loss = note  # type: ignore[method-assign]
    model.loss(model(images), targets)["loss"].backward()
    assert sum(len(points) for _, points in seen) > 1
    for logits, points in seen:
        assert len(points) == len(logits)
        assert all(len(one) == 7 for one in points)
        # a neighbour at 1 pixel lies 2 away now
        gaps = torch.cdist(points[0], points[0]) / torch.cdist(
            targets[0]["points"], targets[0]["points"]
        )
        assert torch.allclose(gaps[~torch.eye(7, dtype=torch.bool)], torch.tensor(2.0), atol=1e-4)


@pytest.mark.parametrize("stage", STAGES)
def test_empty_truth(stage: str, render: Render) -> None:
    images, targets = render((0, 0), (40, 48))
    model = small(stage).train()
    if stage == "zoom":
        with torch.no_grad():
            model.attention[-1].bias.fill_(-20.0)  # and nothing proposed either
            model.attention[-1].weight.zero_()
    loss = model.loss(model(images), targets)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
    with torch.no_grad():
        assert all(np.isfinite(c.count) for c in model.eval().decode(model(images)))


def test_pictures_of_any_size(render: Render) -> None:
    counter = Counter(TorchEngine(small("zoom")))
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((61, 83), (40, 33))]
    for picture, counted in zip(pictures, counter(pictures), strict=True):
        assert counted.size == picture.shape[:2]
        assert counted.points is not None
        assert counted.scores is not None
        assert counted.density is not None
        assert counted.density.sum() == pytest.approx(counted.count, rel=1e-4)


@pytest.mark.parametrize("stage", ["counting", "localization", "zoom"])
def test_compiles_in_one_graph(stage: str) -> None:
    model = small(stage).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for size in ((32, 32), (21, 40)):
        images = torch.rand(1, 3, *size)
        ours, theirs = model(images), compiled(images)
        torch.testing.assert_close(theirs.density, ours.density)
        torch.testing.assert_close(theirs.attention, ours.attention)


@pytest.mark.slow
def test_learns_a_few_pictures() -> None:
    """Counts of both branches, with a compact backbone."""
    images, targets = _apart((3, 5, 7, 9), (64, 64))
    model = RAZNet(stage="main", backbone="mobilenetv3_small_050", width=1 / 8, sigma=4.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    steps = 150
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    model.train()
    for _ in range(steps):
        loss = model.loss(model(images), targets)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    truth = torch.tensor([target["count"] for target in targets])
    with torch.no_grad():
        output = model(images)
        found = torch.tensor([float(len(one.points)) for one in model.locate(output)])
    assert float(((output.count - truth).abs() / truth).max()) < 0.02
    assert float(((found - truth).abs() / truth).max()) < 0.02


def _apart(counts: tuple[int, ...], size: tuple[int, int]) -> tuple[Tensor, list[Target]]:
    """Bright spots in the squares of a chess board, so that no two melt into one."""
    generator = torch.Generator().manual_seed(5)
    y, x = torch.arange(size[0])[:, None], torch.arange(size[1])[None]
    images, targets = [], []
    for count in counts:
        squares = torch.randperm(16, generator=generator)[:count]
        points = torch.stack([squares % 4, squares // 4], dim=1) * 16.0 + 8
        image = 0.1 + 0.05 * torch.rand(3, *size, generator=generator)
        for px, py in points.tolist():
            image = image + 0.7 * torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 8.0)
        images.append(image.clamp(0, 1))
        targets.append(Target(count=float(count), points=points))
    return torch.stack(images), targets


def test_wrong_arguments(render: Render) -> None:
    with pytest.raises(ValueError, match=r"stage: need one of counting, .*got 'all'"):
        RAZNet(stage="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"depth: got 2; need 1 .*or more in stage 'zoom'"):
        small("main", depth=2)
    with pytest.raises(ValueError, match="stage 'counting' can tell the density only"):
        small("counting", report="fusion")
    with pytest.raises(ValueError, match="report: need one of density"):
        small("main", report="sum")
    with pytest.raises(ValueError, match="sigma: need a number > 0"):
        small("main", sigma=0.0)
    with pytest.raises(ValueError, match="no feature network 'resnet999'"):
        small("main", backbone="resnet999")
    with pytest.raises(ValueError, match="maps of strides"):
        small("main", backbone="vit_tiny_patch16_224")
    images, targets = render((2,), (32, 32))
    model = small("counting")
    with pytest.raises(ValueError, match="2 for a batch of 1 pictures"):
        model.loss(model(images), targets * 2)
    with pytest.raises(ValueError, match="has no points"):
        model.locate(model(images))
    assert create_model("raznet", width=0.05, stage="zoom").config == {
        "width": 0.05,
        "stage": "zoom",
    }
