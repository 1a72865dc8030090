"""Points that are not valid, given to the kernels themselves, as a compiled graph may give them.

Python refuses them where it can look. The kernels do not wait to look: the map becomes NaN, so that
nobody takes it for a map without that point. Run by test_operators in the emulator, and by
gpu-check.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount

OPS = torch.ops.fastcount
CUDA = pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))
DEVICES = pytest.mark.parametrize("device", ["cpu", CUDA])
#: The largest is drawn with four columns a lane.
SIZES = [(9, 13), (33, 70), (256, 260)]


def with_one_wrong(place: int, wrong: float, where: str) -> tuple[Tensor, Tensor]:
    """40 points and their sigma, of which one is wrong."""
    draw = torch.Generator().manual_seed(place)
    points = torch.rand(40, 2, generator=draw, dtype=torch.float64) * 8
    sigma = torch.full((40,), 1.5, dtype=torch.float64)
    if where == "sigma":
        sigma[place] = wrong
    else:
        points[place, 0 if where == "x" else 1] = wrong
    return points, sigma


@DEVICES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("wrong", "where"),
    [(torch.nan, "x"), (torch.inf, "y"), (torch.nan, "sigma"), (-1.0, "sigma"), (0.0, "sigma")],
)
def test_the_map_of_a_point_that_is_not_valid_is_nan(
    wrong: float, where: str, size: tuple[int, int], dtype: torch.dtype, device: str
) -> None:
    for place in (0, 20, 39):  # others come before it and after it
        points, sigma = (each.to(device) for each in with_one_wrong(place, wrong, where))
        sets = [20, 20]
        drawn = [
            OPS.gaussian_heatmap(points, sigma, None, sets, *size, 1, 1, 3.0, add, True, dtype)
            for add in (False, True)
        ]
        drawn += OPS.density_pyramid(points, sigma, sets, *size, [1, 4], 3.0, True, dtype)
        for maps in drawn:
            assert maps[place // 20].isnan().all()
            assert not maps[1 - place // 20].isnan().any()


@DEVICES
def test_a_label_out_of_range_draws_nothing(device: str) -> None:
    points = torch.tensor([[2.0, 3.0]] * 4, dtype=torch.float64, device=device)
    sigma = torch.ones(4, dtype=torch.float64, device=device)
    labels = torch.tensor([-1, 2, 2**32, 2**32 + 1], device=device)  # in 32 bits: 0 and 1
    options = (4, 5, 2, 1, 3.0, False, True, torch.float32)
    assert not OPS.gaussian_heatmap(points, sigma, labels, [4], *options).any()
