"""Density maps: which forms their arguments take, which are refused, and how they are compiled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from density_points import SIZE, random_points
from torch.utils._python_dispatch import TorchDispatchMode

from fastcount import ops


def test_inputs_in_many_forms() -> None:
    points = random_points(10, SIZE).float()
    plain = ops.density_map(points, SIZE, sigma=3.0)
    strided = torch.stack([points[:, 1], points[:, 0]], dim=1).flip(1)
    assert torch.equal(ops.density_map(strided, SIZE, sigma=3.0), plain)
    sigma = torch.full((20,), 3.0)[::2]
    assert torch.equal(ops.density_map(points, SIZE, sigma=sigma), plain)
    assert torch.equal(ops.density_map([points], SIZE, sigma=torch.tensor([3.0])), plain)
    assert torch.equal(ops.density_map(points, torch.Size(SIZE), sigma=3), plain)
    assert ops.density_map([], SIZE).shape == (0, 1, *SIZE)
    assert float(ops.density_map(torch.empty(0, 2), SIZE).abs().sum()) == 0.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ops.density_map(points, SIZE, sigma=3.0), plain)
    with torch.inference_mode():
        assert torch.equal(ops.density_map(points, SIZE, sigma=3.0), plain)


@pytest.mark.parametrize(
    ("points", "arguments", "error", "words"),
    [
        (torch.zeros(3, 3), {}, ValueError, r"points must have shape \(N, 2\)"),
        (torch.zeros(3, 2, dtype=torch.int64), {}, TypeError, "points must be floating point"),
        ([[1.0, 2.0]], {}, TypeError, r"points\[0\] must be a tensor"),
        (torch.tensor([[1.0, float("nan")]]), {}, ValueError, "points holds a value"),
        (torch.tensor([[1.0, float("inf")]]), {}, ValueError, "points holds a value"),
        (torch.zeros(3, 2), {"sigma": 0.0}, ValueError, "sigma must be positive"),
        (torch.zeros(3, 2), {"sigma": torch.tensor([1.0, -1.0, 1.0])}, ValueError, "got -1"),
        (torch.zeros(3, 2), {"sigma": torch.ones(2)}, ValueError, "sigma must be a number or have"),
        (torch.zeros(3, 2), {"sigma": "wide"}, TypeError, "sigma must be a number"),
        ([torch.zeros(3, 2)], {"sigma": [1.0, 2.0]}, ValueError, "sigma has 2 entries for 1"),
        (torch.zeros(3, 2), {"stride": 0}, ValueError, "strides?"),
        (torch.zeros(3, 2), {"stride": 1.5}, TypeError, "stride must be a whole number"),
        (torch.zeros(3, 2), {"truncate": 0.0}, ValueError, "truncate must be positive"),
        (torch.zeros(3, 2), {"border": "wrap"}, ValueError, "border must be one of"),
        (torch.zeros(3, 2), {"dtype": torch.float16}, TypeError, "dtype must be"),
        (torch.zeros(3, 2), {"size": (0, 4)}, ValueError, "size must be at least 1"),
        (torch.zeros(3, 2), {"size": (4.0, 4)}, TypeError, "size must hold two whole numbers"),
        (torch.zeros(3, 2), {"size": (4, 4, 4)}, ValueError, r"size must be \(H, W\)"),
        (
            [torch.zeros(3, 2), torch.zeros(3, 2, device="meta")],
            {},
            ValueError,
            r"points\[1\] is on meta",
        ),
        (
            torch.zeros(3, 2),
            {"sigma": torch.ones(3, device="meta")},
            ValueError,
            "sigma is on meta",
        ),
    ],
)
def test_wrong_arguments_are_named(
    points: object, arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ops.density_map(points, **{"size": SIZE, **arguments})


def test_widths_of_all_sets_are_looked_at_once() -> None:
    """On a GPU every look at a value waits for all that was asked of it before."""

    class Looks(TorchDispatchMode):
        number = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.number += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    looks = []
    for sets in (1, 5):
        with Looks() as mode:
            ops.density_map([torch.ones(3, 2)] * sets, (4, 5), sigma=[torch.ones(3)] * sets)
        looks.append(mode.number)
    assert looks[0] == looks[1] > 0


@pytest.mark.parametrize("wrong", [0.0, float("nan"), float("inf")])
def test_a_wrong_width_is_named_by_its_set(wrong: float) -> None:
    points = [torch.ones(2, 2), torch.ones(0, 2), torch.ones(1, 2)]
    good = torch.ones(())
    for sigma, name in (
        ([1.0, good, torch.tensor([wrong])], r"sigma\[2\]"),
        ([1.0, torch.tensor(wrong), good], r"sigma\[1\]"),  # of no point at all
        (torch.tensor([wrong, 1.0, 1.0]), r"sigma\[0\]"),
        (torch.tensor(wrong), "sigma"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must be positive and finite .* got {wrong}"):
            ops.density_map(points, (4, 5), sigma=sigma)


def test_a_gradient_is_refused() -> None:
    points = torch.rand(3, 2, requires_grad=True)
    drawn = ops.density_map(points, SIZE)
    with pytest.raises(RuntimeError, match="no gradient with respect to points"):
        drawn.sum().backward()
    sigma = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient"):
        ops.density_map(points.detach(), SIZE, sigma=sigma).sum().backward()


def test_opcheck() -> None:
    points, sigma = random_points(9, SIZE), torch.full((9,), 2.0, dtype=torch.float64)
    arguments = (points, sigma, [4, 5], *SIZE, [1, 8, 16], 3.0, True, torch.float32)
    torch.library.opcheck(torch.ops.fastcount.density_pyramid.default, arguments)


@pytest.mark.parametrize("truncate", [-4.0, -1e300, 0.0, float("nan")])
def test_bindings_check_truncate_too(truncate: float) -> None:
    points, sigma = random_points(3, SIZE), torch.ones(3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="truncate must be positive"):
        torch.ops.fastcount.density_pyramid(
            points, sigma, [3], *SIZE, [1], truncate, True, torch.float32
        )
    with pytest.raises(RuntimeError, match="truncate must be positive"):
        torch.ops.fastcount.gaussian_heatmap(
            points, sigma, None, [3], *SIZE, 1, 1, truncate, True, True, torch.float32
        )


def test_compiles_without_a_graph_break() -> None:
    def twice(points: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return ops.density_map([points, points], SIZE, sigma=[sigma, 3.0], stride=2) * 2

    compiled = torch.compile(twice, fullgraph=True, backend="aot_eager")
    for count in (5, 9, 12):  # the second shape makes the graph dynamic
        points, sigma = random_points(count, SIZE).float(), torch.full((count,), 2.0)
        torch.testing.assert_close(compiled(points, sigma), twice(points, sigma))
    with pytest.raises(RuntimeError, match="points must be finite"):
        compiled(torch.full((5, 2), float("nan")), torch.ones(5))
    with pytest.raises(RuntimeError, match="sigma must be positive and finite, got 0"):
        compiled(torch.ones(5, 2), torch.zeros(5))


def test_sigma_follows_the_points_to_another_device() -> None:
    points = torch.rand(3, 2)
    sigma = ops.adaptive_sigma(torch.rand(3, 2) * 9)
    assert ops.density_map(points, (5, 6), sigma=sigma, device="meta").device.type == "meta"
    with pytest.raises(ValueError, match="sigma is on meta, the points on cpu"):
        ops.density_map(points, (5, 6), sigma=sigma.to("meta"))
