"""Gaussian heatmaps: peaks of exactly 1, kept or added up, one map a class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcount import ops
from fastcount.ops import reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
SIZE = (41, 60)


def random_points(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return (unit * 1.2 - 0.1) * torch.tensor([SIZE[1], SIZE[0]]) - 0.5


def centernet(points: np.ndarray, sigma: float, radius: int, shape: tuple[int, int]) -> np.ndarray:
    """The drawing of Objects as Points for whole cells inside the map."""
    heatmap = np.zeros(shape)
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    gaussian = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    for px, py in points.astype(int):
        left, right = min(px, radius), min(shape[1] - px, radius + 1)
        top, bottom = min(py, radius), min(shape[0] - py, radius + 1)
        window = heatmap[py - top : py + bottom, px - left : px + right]
        part = gaussian[radius - top : radius + bottom, radius - left : radius + right]
        np.maximum(window, part, out=window)
    return heatmap


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 40),
    sigma=st.floats(0.01, 50.0),
    stride=st.integers(1, 9),
    add=st.booleans(),
    round_centers=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_equals_the_reference(
    count: int, sigma: float, stride: int, add: bool, round_centers: bool, seed: int
) -> None:
    points = [random_points(count, seed), random_points(3, seed + 1)]
    labels = [torch.arange(count) % 3, torch.tensor([2, 0, 2])]
    arguments = {
        "labels": labels,
        "num_classes": 3,
        "stride": stride,
        "reduce": "sum" if add else "max",
        "round_centers": round_centers,
    }
    widths = [torch.linspace(sigma / 2, sigma, count), 2.0]
    drawn = ops.gaussian_heatmap(points, SIZE, widths, **arguments)
    expected = reference.gaussian_heatmap(points, SIZE, widths, **arguments)
    assert drawn.dtype == torch.float64
    torch.testing.assert_close(drawn, expected, rtol=1e-11, atol=1e-13)
    single = ops.gaussian_heatmap([each.float() for each in points], SIZE, widths, **arguments)
    again = reference.gaussian_heatmap([each.float() for each in points], SIZE, widths, **arguments)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, again, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduce", ["max", "sum"])
@pytest.mark.parametrize("stride", [1, 4])
def test_devices_equal_the_reference(
    stride: int, reduce: str, dtype: torch.dtype, device: str
) -> None:
    points = [random_points(count, count).to(device, dtype) for count in (70, 0, 5)]
    arguments = {
        "labels": [torch.arange(len(each), device=device) % 2 for each in points],
        "num_classes": 2,
        "stride": stride,
        "reduce": reduce,
    }
    for round_centers in (False, True):
        drawn = ops.gaussian_heatmap(points, SIZE, 2.5, round_centers=round_centers, **arguments)
        expected = reference.gaussian_heatmap(
            points, SIZE, 2.5, round_centers=round_centers, **arguments
        )
        assert drawn.dtype == dtype
        tolerance = 1e-5 if dtype == torch.float32 else 1e-11
        torch.testing.assert_close(drawn, expected, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reduce", ["max", "sum"])
def test_a_crowd_on_a_larger_map(reduce: str, device: str) -> None:
    size = (270, 259)
    scale = torch.tensor([size[1] / SIZE[1], size[0] / SIZE[0]], dtype=torch.float64)
    points = (random_points(3000) * scale).to(device)
    drawn = ops.gaussian_heatmap(points, size, 1.5, reduce=reduce)
    expected = reference.gaussian_heatmap(points, size, 1.5, reduce=reduce)
    torch.testing.assert_close(drawn, expected, rtol=1e-11, atol=1e-12)


def test_equals_centernet() -> None:
    generator = np.random.default_rng(0)
    points = generator.integers(0, [SIZE[1], SIZE[0]], (30, 2)).astype(np.float32)
    drawn = ops.gaussian_heatmap(torch.from_numpy(points), SIZE, 2.0)
    np.testing.assert_allclose(drawn[0, 0].numpy(), centernet(points, 2.0, 6, SIZE), atol=1e-6)


def test_rounded_peaks_are_exactly_one() -> None:
    points = random_points(50).float()
    drawn = ops.gaussian_heatmap(points, SIZE, 1.7, stride=4)[0, 0]
    rows, cols = drawn.shape
    for x, y in points.tolist():
        inside = -0.5 <= x < SIZE[1] - 0.5 and -0.5 <= y < SIZE[0] - 0.5
        if inside:
            cell = min(int(y / 4 + 0.5), rows - 1), min(int(x / 4 + 0.5), cols - 1)
            assert float(drawn[cell]) == 1.0
    assert float(drawn.max()) == 1.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [1e-20, 1e-160, 5e-324])
def test_the_narrowest_kernels_are_one_at_their_point(
    sigma: float, dtype: torch.dtype, device: str
) -> None:
    """1 / (2 sigma^2) is beyond what float32, or even float64, can hold."""
    points = torch.tensor([[5.2, 4.4], [2.5, 1.5]], dtype=dtype, device=device)
    drawn = ops.gaussian_heatmap(points, SIZE, sigma)[0, 0]
    assert drawn.nonzero().tolist() == [[2, 3], [4, 5]]
    assert drawn[2, 3] == drawn[4, 5] == 1.0


def test_a_sum_stops_at_one_and_a_maximum_ignores_repeats() -> None:
    twice = torch.tensor([[10.0, 10.0], [10.0, 10.0]])
    once = ops.gaussian_heatmap(twice[:1], SIZE, 3.0)
    assert torch.equal(ops.gaussian_heatmap(twice, SIZE, 3.0), once)
    added = ops.gaussian_heatmap(twice, SIZE, 3.0, reduce="sum")
    torch.testing.assert_close(added, (2 * once).clamp(max=1.0))
    assert float(added.max()) == 1.0


def test_many_points_in_parts_sum_up() -> None:
    points = torch.tensor([[10.0, 10.0]]).expand(40_000, 2)
    added = ops.gaussian_heatmap(points, (30, 30), 3.0, reduce="sum", truncate=4.0)
    kernel = ops.gaussian_heatmap(points[:1], (30, 30), 3.0, truncate=4.0)
    torch.testing.assert_close(added, (40_000 * kernel).clamp(max=1.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_points_than_are_drawn_at_once(dtype: torch.dtype) -> None:
    counts = (9000, 0, 9000, 300)
    points = [random_points(count, seed).to(dtype) for seed, count in enumerate(counts)]
    sigma = [torch.linspace(0.1, 0.4, count) for count in counts]
    labels = [torch.arange(count) * 7 // 9 % 5 for count in counts]
    for reduce in ("max", "sum"):
        options = {"num_classes": 5, "reduce": reduce, "truncate": 2.0, "round_centers": False}
        drawn = ops.gaussian_heatmap(points, SIZE, sigma, labels=labels, **options)
        for together, *one in zip(drawn, points, sigma, labels, strict=True):
            alone = ops.gaussian_heatmap(one[0], SIZE, one[1], labels=one[2], **options)[0]
            torch.testing.assert_close(together, alone, rtol=1e-6, atol=0.0)


def test_classes_and_pictures_are_apart() -> None:
    points = [torch.tensor([[5.0, 5.0], [20.0, 20.0]]), torch.tensor([[9.0, 9.0]])]
    labels = [torch.tensor([1, 0]), torch.tensor([1])]
    drawn = ops.gaussian_heatmap(points, SIZE, 1.0, labels=labels, num_classes=2)
    assert drawn.shape == (2, 2, *SIZE)
    peaks = [tuple(at) for at in (drawn == 1).nonzero().tolist()]
    assert peaks == [(0, 0, 20, 20), (0, 1, 5, 5), (1, 1, 9, 9)]


def test_threads_do_not_change_a_bit() -> None:
    points, before = random_points(2000).float(), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(ops.gaussian_heatmap(points, SIZE, 4.3, reduce="sum", truncate=1.0))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_empty_sets() -> None:
    assert ops.gaussian_heatmap([], SIZE, 1.0).shape == (0, 1, *SIZE)
    labels = torch.empty(0, dtype=torch.int64)
    empty = ops.gaussian_heatmap(torch.empty(0, 2), SIZE, 1.0, labels=labels, num_classes=4)
    assert empty.shape == (1, 4, *SIZE)
    assert float(empty.abs().sum()) == 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"num_classes": 3}, ValueError, "labels are needed"),
        ({"num_classes": 0}, ValueError, "num_classes must be at least 1"),
        ({"labels": torch.tensor([0, 1]), "num_classes": 1}, ValueError, "got 1"),
        ({"labels": torch.tensor([0, -1]), "num_classes": 2}, ValueError, "got -1"),
        ({"labels": torch.tensor([0.0, 1.0]), "num_classes": 2}, TypeError, "whole numbers"),
        ({"labels": torch.tensor([0]), "num_classes": 2}, ValueError, r"shape \(2,\)"),
        ({"labels": [torch.tensor([0, 1])], "num_classes": 2}, TypeError, "as the points do"),
        ({"round_centers": "no"}, TypeError, "round_centers must be True or False"),
        ({"reduce": "mean"}, ValueError, "reduce must be one of"),
        ({"sigma": -1.0}, ValueError, "sigma must be positive"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ops.gaussian_heatmap(torch.ones(2, 2), SIZE, **{"sigma": 1.0, **arguments})


@pytest.mark.parametrize("label", [-1, 2])
def test_bindings_check_labels_too(label: int) -> None:
    points, sigma = random_points(3), torch.ones(3, dtype=torch.float64)
    labels = torch.tensor([0, label, 1])
    with pytest.raises(RuntimeError, match=f"labels must be in 0 .. 1, got {label}"):
        torch.ops.fastcount.gaussian_heatmap(
            points, sigma, labels, [3], *SIZE, 2, 1, 3.0, True, True, torch.float32
        )


def test_bindings_refuse_more_classes_than_can_be_numbered() -> None:
    points, sigma = random_points(3), torch.ones(3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"overflow|num_classes|new_empty"):
        torch.ops.fastcount.gaussian_heatmap(
            points, sigma, None, [3], *SIZE, 2**62, 1, 3.0, True, True, torch.float32
        )


def test_a_gradient_is_refused() -> None:
    points = torch.rand(3, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient with respect to points"):
        ops.gaussian_heatmap(points, SIZE, 1.0).sum().backward()


def test_opcheck() -> None:
    points, sigma = random_points(9), torch.full((9,), 2.0, dtype=torch.float64)
    rest = ([4, 5], *SIZE, 2, 4, 3.0, True, True, torch.float32)
    for labels in (None, torch.arange(9) % 2):
        torch.library.opcheck(
            torch.ops.fastcount.gaussian_heatmap.default, (points, sigma, labels, *rest)
        )


def test_compiles_without_a_graph_break() -> None:
    def draw(points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return ops.gaussian_heatmap(points, SIZE, 2.0, labels=labels, num_classes=3, stride=4) * 2

    compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
    for count in (5, 9, 12):
        points, labels = random_points(count).float(), torch.arange(count) % 3
        torch.testing.assert_close(compiled(points, labels), draw(points, labels))
