"""The leaf counters: shapes, the paper's own sizes, losses, missing and empty truth."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from leaves import NAMES, small, targets
from torch import Tensor

from fastcount.models import Target, create_model
from fastcount.models.parts.count_fusion import fuse_counts
from fastcount.models.parts.keypoint_head import KeypointHead
from fastcount.ops import soft_count

RESNET = 23_508_032  # parameters of ResNet-50 without its classifier


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


def test_heat_maps_that_fell_below_zero_everywhere_still_learn() -> None:
    """As a plain ReLU in training they stay at zero: no cell passes a gradient on."""
    torch.manual_seed(0)
    head = KeypointHead(16, (1, 1, 1, 1), stride=8)
    for convolution in head.heatmaps:
        torch.nn.init.constant_(convolution.bias, -2.0)
    features = torch.rand(2, 16, 8, 8)
    head.eval()
    assert all(float(heatmap.abs().max()) == 0 for heatmap in head(features).heatmaps)
    head.train()
    torch.stack(head.loss(head(features), targets(4, 6), (64, 64))).sum().backward()
    for convolution in head.heatmaps:
        assert float(convolution.weight.grad.norm()) > 0
        assert float(convolution.bias.grad) < 0  # upwards


def test_soft_counts_look_as_far_as_the_last_gaussian() -> None:
    """Section 3.2.2; the public code's window is 3 cells."""
    torch.manual_seed(0)
    features = torch.rand(2, 16, 24, 24)
    for options, size in (({}, 5), ({"window": 3}, 3)):
        head = KeypointHead(16, (1, 1, 1, 2), 8, **options).eval()
        found = head(features)
        _, expected = soft_count(found.heatmaps[-1], kernel_size=size)
        torch.testing.assert_close(found.detected, expected.squeeze(1))


def test_soft_count_of_the_public_code() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 16, 24, 24)
    head = KeypointHead(16, (1, 2), 8, form="public").eval()
    found = head(features)
    assert head.window == 3
    _, expected = soft_count(torch.sigmoid(found.heatmaps[-1] - 0.4), kernel_size=3)
    torch.testing.assert_close(found.detected, expected.squeeze(1))
    for name in ("leaf_detection", "leaf_joint"):
        with pytest.raises(ValueError, match="soft_count: need paper or public, got 'sum'"):
            small(name, soft_count="sum")


def test_a_leaf_is_one_point() -> None:
    """Of two peaks in one window of the soft count one is active, and one is a point."""
    head = KeypointHead(16, (3,), 8)
    heatmap = torch.zeros(1, 1, 24, 24)
    heatmap[0, 0, 8, 8], heatmap[0, 0, 8, 11], heatmap[0, 0, 20, 4] = 1.0, 0.95, 0.3
    ((points, scores),) = head.points(heatmap, 0.4)
    assert points.tolist() == [[64.0, 64.0]]
    assert scores.tolist() == [1.0]
    heatmap[0, 0, 8, 11], heatmap[0, 0, 8, 12] = 0.0, 0.95  # beyond the window
    assert len(head.points(heatmap, 0.4)[0][0]) == 2


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
    assert all(v.item() == 0 for key, v in counts_only.items() if key.startswith("heatmap"))
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
