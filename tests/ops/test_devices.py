"""The native operators refuse tensors of two devices: dispatch looks at one of them only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount

OPS = torch.ops.fastcount
FOCAL = (2, 0, False, 1.0, 0.5, 4.0, 1e-6, None, True, False)


@pytest.mark.skipif("not torch.cuda.is_available()")
@pytest.mark.parametrize(
    "work",
    [
        lambda ours, other: OPS.density_pyramid(
            ours[0, 0], other[0, 0, :, 0], [4], 9, 9, [1], 3.0, True, torch.float32
        ),
        lambda ours, other: OPS.gaussian_heatmap(
            *(ours[0, 0], ours[0, 0, :, 0], other[0, 0, :, 0].long(), [4], 9, 9, 1, 1),
            *(3.0, False, True, torch.float32),
        ),
        lambda ours, other: OPS.peak_map(ours, other, 1),
        lambda ours, other: OPS.top_peaks_mask(ours, other[:, :, 0, 0].long()),
        lambda ours, other: OPS.soft_count_backward(other, None, ours, 3, 9.0, 15.0, 0.4),
        lambda ours, other: OPS.focal_loss(ours, other, None, *FOCAL),
        lambda ours, other: OPS.focal_loss(ours, ours, other > 0, *FOCAL),
        lambda ours, other: OPS.focal_loss_backward(
            other, ours, ours[0, 0, 0, 0].clone(), torch.float64
        ),
        lambda ours, other: OPS.weighted_smooth_l1(ours, other, 0.1, True),
        lambda ours, other: OPS.weighted_smooth_l1_backward(other, ours, ours, 0.1),
    ],
)
def test_cuda_kernels_refuse_tensors_of_two_devices(
    work: Callable[[Tensor, Tensor], object],
) -> None:
    maps = torch.rand(1, 1, 4, 2, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"is on cpu, .* on cuda:0: move them to one device"):
        work(maps.cuda(), maps)
    work(maps.cuda(), maps.cuda())
