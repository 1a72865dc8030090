"""The leaf counters: shapes, the paper's own sizes, losses, training, files, pictures."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import density
import numpy as np
import pytest
import torch
from conftest import Render
from torch import Tensor

from fastcount.models import CountingModel, Target, create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.parts.count_fusion import fuse_counts
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.runtime.tiling import plan

NAMES = ("leaf_regression", "leaf_msr", "leaf_detection", "leaf_joint")
BACKBONE = "mobilenetv3_small_100"
RESNET = 23_508_032  # parameters of ResNet-50 without its classifier


def small(name: str, **options: Any) -> CountingModel:
    if name == "leaf_regression":
        options = {"hidden": (32, 16), **options}
    else:
        options = {"channels": 16, **options}
    return create_model(name, backbone=BACKBONE, **{"size": (64, 64), **options})


def dense(*widths: int) -> int:
    return sum(a * b + b for a, b in pairwise(widths))


def test_size_of_the_papers_own_networks() -> None:
    """By hand from the text: ResNet-50, FPN of 256 channels, heads of section 3."""
    conv = 256 * 256 * 9 + 256
    laterals = sum(c * 256 + 256 for c in (512, 1024, 2048))
    pyramid = laterals + 3 * conv + (2048 * 256 * 9 + 256) + conv
    expected = {
        "leaf_regression": RESNET + dense(2048, 1024, 512, 1),
        "leaf_msr": RESNET + pyramid + 2 * conv + dense(256, 128, 64, 2),
        "leaf_detection": RESNET + laterals + conv + 4 * conv + 4 * (256 * 9 + 1) + dense(257, 1),
    }
    with torch.device("meta"):
        for name, parameters in expected.items():
            model = create_model(name)
            assert sum(p.numel() for p in model.parameters()) == parameters, name
            assert model.config == {}


def test_outputs_and_counts_of_any_picture() -> None:
    for name in NAMES:
        model = small(name).eval()
        output = model(torch.rand(2, 3, 50, 71))
        assert output.count.shape == (2,), name
        assert output.size == (50, 71)
        for counting in model.decode(output):
            assert counting.size == (50, 71)
            assert counting.count >= 0
            assert (counting.std is not None) == (name in ("leaf_msr", "leaf_joint"))
            assert (counting.points is not None) == (name in ("leaf_detection", "leaf_joint"))
    assert small("leaf_msr")(torch.rand(2, 3, 64, 64)).means.shape == (2, 5)
    assert small("leaf_joint")(torch.rand(2, 3, 64, 64)).means.shape == (2, 6)


def test_levels_share_one_head_and_are_fused_as_asked() -> None:
    model = small("leaf_msr").eval()
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        maps = model.pyramid(model.normalize(images))
        by_hand = torch.stack([model.head(one) for one in maps], dim=1)
        for fusion in ("min_variance", "mle", "average", "weighted_median"):
            model.fusion = fusion
            output = model(images)
            torch.testing.assert_close(output.means, by_hand[..., 0])
            count, std = fuse_counts(by_hand[..., 0], by_hand[..., 1], fusion)
            torch.testing.assert_close(output.count, count)
            torch.testing.assert_close(output.std, std)


def targets(*counts: int) -> list[Target]:
    generator = torch.Generator().manual_seed(len(counts))
    points = [64 * torch.rand(n, 2, generator=generator) for n in counts]
    return [Target(count=float(len(p)), points=p) for p in points]


@pytest.mark.parametrize("loss", ["gaussian", "laplacian", "l2"])
def test_loss_of_msr_in_plain_float64(loss: str) -> None:
    fusion = "average" if loss == "l2" else "min_variance"
    model = small("leaf_msr", loss=loss, fusion=fusion).double()
    output = model(torch.rand(2, 3, 64, 64, dtype=torch.float64))
    losses = model.loss(output, targets(3, 7))
    for j, level in enumerate((3, 4, 5, 6, 7)):
        expected = 0.0
        for i, truth in enumerate((3.0, 7.0)):
            error = float(output.means[i, j]) - truth
            if output.log_variances is None:
                expected += error**2 / 2 / 2
                continue
            variance = math.exp(float(output.log_variances[i, j]))
            if loss == "gaussian":
                expected += (error**2 / (2 * variance) + math.log(variance) / 2) / 2
            else:
                expected += (abs(error) * math.sqrt(2 / variance) + math.log(variance) / 2) / 2
        assert float(losses[f"level_{level}"]) == pytest.approx(expected, rel=1e-9)
    parts = sum(float(value) for name, value in losses.items() if name != "loss")
    assert float(losses["loss"]) == pytest.approx(parts)


def plain_heatmap_loss(heatmap: Tensor, truth: list[Target], radius: int) -> float:
    """Eq. 4 cell by cell; a Gaussian of sigma (2r + 1) / 6 on (2r + 1)^2 cells round each point."""
    total = 0.0
    sigma = (2 * radius + 1) / 6
    for one, target in zip(heatmap[:, 0].tolist(), truth, strict=True):
        for v, row in enumerate(one):
            for u, value in enumerate(row):
                p = 0.0
                for x, y in target["points"].tolist():
                    if not (-0.5 <= x < 63.5 and -0.5 <= y < 63.5):
                        continue
                    dx, dy = (abs(a - min(7, math.floor(b / 8 + 0.5))) for a, b in ((u, x), (v, y)))
                    if max(dx, dy) <= radius:
                        p = max(p, math.exp(-(dx**2 + dy**2) / (2 * sigma**2)))
                error = abs(value - p)
                loss = error - 0.5 if error >= 1 else error**2 / 2
                total += loss * (0.9 if p > 0 else 0.1)
    return total / len(truth)


def test_loss_of_detection_in_plain_float64() -> None:
    model = small("leaf_detection", radii=(3, 7, 5, 5, 3)).double()
    output = model(torch.rand(2, 3, 64, 64, dtype=torch.float64))
    truth = targets(4, 6)
    losses = model.loss(output, truth)
    counts = [abs(float(c) - t["count"]) for c, t in zip(output.count, truth, strict=True)]
    assert float(losses["count"]) == pytest.approx(sum(counts) / 2)
    for i, radius in enumerate((3, 7, 5, 5, 3)):
        expected = plain_heatmap_loss(output.keypoints.heatmaps[i].detach(), truth, radius)
        assert float(losses[f"heatmap_{i + 1}"]) == pytest.approx(expected, rel=1e-5)
    assert len(losses) == 7


def test_one_heat_map_and_no_averages() -> None:
    """Rows 3 and 4 of the paper's Figure 3."""
    single = small("leaf_detection", radii=(3,))
    losses = single.loss(single(torch.rand(2, 3, 64, 64)), targets(4, 6))
    assert set(losses) == {"loss", "count", "heatmap_1"}
    alone = small("leaf_detection", averages=False)
    output = alone(torch.rand(2, 3, 64, 64))
    weight, bias = float(alone.last.weight), float(alone.last.bias)
    torch.testing.assert_close(output.count, weight * output.keypoints.detected + bias)


@pytest.mark.parametrize("name", ["leaf_detection", "leaf_joint"])
def test_pictures_without_points_teach_the_count_alone(name: str) -> None:
    model = small(name)
    output = model(torch.rand(2, 3, 64, 64))
    known, unknown = targets(4, 6)
    unknown = Target(count=unknown["count"])
    counts_only = model.loss(output, [Target(count=4.0), unknown])
    assert all(float(v) == 0 for key, v in counts_only.items() if key.startswith("heatmap"))
    counts_only["loss"].backward(retain_graph=True)
    assert all(p.grad is not None for p in model.parameters())
    mixed, whole = model.loss(output, [known, unknown]), model.loss(output, targets(4, 6))
    assert 0 < float(mixed["heatmap_1"]) < float(whole["heatmap_1"])


@pytest.mark.parametrize("name", NAMES)
def test_empty_truth_and_wrong_number_of_targets(name: str) -> None:
    model = small(name)
    output = model(torch.rand(2, 3, 64, 64))
    empty = [Target(count=0.0, points=torch.zeros(0, 2))] * 2
    losses = model.loss(output, empty)
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    losses["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with pytest.raises(ValueError, match="targets: 1 for a batch of 2"):
        model.loss(output, empty[:1])


@pytest.mark.parametrize(
    "name",
    [
        "leaf_regression",
        "leaf_joint",  # holds what the two below consist of
        pytest.param("leaf_msr", marks=pytest.mark.slow),
        pytest.param("leaf_detection", marks=pytest.mark.slow),
    ],
)
def test_forward_compiles_without_a_break(name: str) -> None:
    model = small(name).eval()
    images = torch.rand(1, 3, 64, 64)
    compiled = torch.compile(lambda x: model(x).count, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images), model(images).count)


@pytest.mark.parametrize("name", NAMES)
def test_saved_scaled_and_used_on_pictures(name: str, tmp_path: Path) -> None:
    model = small(name).eval()
    with torch.no_grad():  # counts above 0, and some peaks
        for last in model.modules():
            if isinstance(last, torch.nn.Linear) and last.out_features <= 2:
                last.bias[0] = 5.0
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        save_model(model, tmp_path / "m.safetensors", card={})
        again = load_model(tmp_path / "m.safetensors")
        torch.testing.assert_close(again(images).count, before.count)
        again.scale_counts(1.5)
        torch.testing.assert_close(again(images).count, 1.5 * before.count)
        if getattr(before, "std", None) is not None:
            torch.testing.assert_close(again(images).std, 1.5 * before.std)
            again.scale_std(2.0)
            torch.testing.assert_close(again(images).std, 3.0 * before.std)
            torch.testing.assert_close(again(images).count, 1.5 * before.count)
    counter = Counter(TorchEngine(model))
    pixels = (255 * images[0].permute(1, 2, 0)).round().byte().numpy()
    with torch.no_grad():  # of the model's own size, so neither scaled nor padded
        direct = load_model(tmp_path / "m.safetensors")(
            torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        )
    assert counter(pixels).count == pytest.approx(float(direct.count[0]), rel=1e-4, abs=1e-4)
    for height, width in ((1, 1), (30, 200), (150, 90)):
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        counting = counter(picture)
        assert counting.size == (height, width)
        if counting.points is not None:
            assert (counting.points < [width, height]).all()


def test_peaks_are_decoded_where_the_target_put_them() -> None:
    model = small("leaf_detection")
    points = torch.tensor([[8.0, 16.0], [35.0, 44.0], [63.0, 3.0]])
    truth = model.head.target([points, points[:0]], (64, 64), 3)
    (found, scores), (none, _) = model.head.points(truth, 0.4)
    assert len(none) == 0
    assert scores.tolist() == [1.0, 1.0, 1.0]
    order = found[:, 0].argsort()
    assert found[order].tolist() == [[8, 16], [32, 48], [56, 0]]
    assert (found[order] - points).abs().max() <= 7.5  # 63 belongs to the last cell


def test_sizes_follow_the_paper() -> None:
    tiling = create_model("leaf_msr", backbone=BACKBONE).tiling
    assert plan((400, 600), tiling).scaled == (800, 1200)
    assert plan((600, 400), tiling).scaled == (1200, 800)
    assert plan((1000, 4000), tiling).scaled == (333, 1333)
    square = plan((300, 200), small("leaf_msr").tiling)
    assert square.scaled == (64, 43)
    assert (square.rows[0].stop, square.columns[0].stop) == (64, 64)
    with pytest.raises(ValueError, match="size: need the pixels of the shorter"):
        small("leaf_msr", size=(100, 64))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="loss: need one of gaussian, laplacian, l2"):
        small("leaf_msr", loss="l1")
    with pytest.raises(ValueError, match="'min_variance' needs variances"):
        small("leaf_msr", loss="l2")
    with pytest.raises(ValueError, match="fusion: need one of"):
        small("leaf_joint", fusion="best")
    with pytest.raises(ValueError, match="loss: 'l2' learns no variance"):
        small("leaf_joint", loss="l2")
    with pytest.raises(ValueError, match="radii: need 1 to 5"):
        small("leaf_detection", radii=(3, 0))
    with pytest.raises(ValueError, match="has no standard deviation to scale"):
        small("leaf_msr", loss="l2", fusion="average").scale_std(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_training_step_of_the_paper_s_network(name: str) -> None:
    model = create_model(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    loss = model.loss(model(torch.rand(2, 3, 64, 64)), targets(3, 9))["loss"]
    loss.backward()
    optimizer.step()
    unmoved = [key for key, p in model.named_parameters() if torch.equal(p, before[key])]
    assert torch.isfinite(loss)
    assert not unmoved


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_overfits_four_pictures(name: str, render: Render) -> None:
    images, truth = render((6, 10, 14, 18), (64, 64))
    model = small(name, **({} if name == "leaf_regression" else {"channels": 32}))
    assert density.overfit(model, images, truth, lr=2e-3, steps=150) < 0.02
