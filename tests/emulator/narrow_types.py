"""float16 and bfloat16 given to the kernels themselves; run by test_operators in the emulator, and
by gpu-check.

The kernels compute in float32 and round once, so the answer is that of the float32 kernel on the
same values, rounded.
"""

from __future__ import annotations

import pytest
import torch

from fastcount.ops import native  # noqa: F401  # defines torch.ops.fastcount

OPS = torch.ops.fastcount
NARROW = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
CUDA = pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))
DEVICES = pytest.mark.parametrize("device", ["cpu", CUDA])


def maps(dtype: torch.dtype, device: str, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3)).to(device, dtype)


def assert_rounded(got: object, wide: object, dtype: torch.dtype, exact: bool = True) -> None:
    for ours, theirs in zip(got, wide, strict=True):  # type: ignore[call-overload]
        rounded = theirs.to(dtype) if theirs.dtype == torch.float32 else theirs
        if exact:
            assert torch.equal(ours, rounded)
        else:
            torch.testing.assert_close(ours, rounded)


@DEVICES
@NARROW
@pytest.mark.parametrize("smooth", [False, True])
def test_peaks(dtype: torch.dtype, smooth: bool, device: str) -> None:
    scores = maps(dtype, device, 1, 2, 19, 45)
    points, values, *where = OPS.find_peaks(scores, 5, 0.4, smooth, None)
    wide_points, wide_values, *wide_where = OPS.find_peaks(scores.float(), 5, 0.4, smooth, None)
    assert len(values) > 5
    assert torch.equal(points, wide_points)
    assert_rounded([values, *where], [wide_values, *wide_where], dtype)
    points, values, valid = OPS.find_peaks_padded(scores, 5, 0.4, smooth, 4)
    wide_points, wide_values, wide_valid = OPS.find_peaks_padded(scores.float(), 5, 0.4, smooth, 4)
    assert torch.equal(points, wide_points)
    assert_rounded([values, valid], [wide_values, wide_valid], dtype)


@DEVICES
@NARROW
def test_peak_maps_and_masks(dtype: torch.dtype, device: str) -> None:
    values = maps(dtype, device, 2, 3, 14, 14)
    peaks = OPS.peak_map(values, values, 1)
    assert_rounded([peaks], [OPS.peak_map(values.float(), values.float(), 1)], dtype)
    counts = torch.tensor([[0, 1, 2], [3, 40, 5]], device=device)
    mask = OPS.top_peaks_mask(peaks, counts)
    assert mask.any()
    assert_rounded([mask], [OPS.top_peaks_mask(peaks.float(), counts)], dtype)


@DEVICES
@NARROW
@pytest.mark.parametrize("kernel_size", [3, 21])
def test_soft_counts(dtype: torch.dtype, kernel_size: int, device: str) -> None:
    heatmap = maps(dtype, device, 1, 2, 20, 35)
    grad, grad_sum = maps(dtype, device, 1, 2, 20, 35), maps(dtype, device, 1, 2)
    rule = (kernel_size, 100.0, 15.0, 0.8)
    assert_rounded(
        [
            OPS.spatial_softmax(heatmap, kernel_size, 100.0),
            *OPS.soft_count(heatmap, *rule),
            OPS.soft_count_backward(grad, grad_sum, heatmap, *rule),
        ],
        [
            OPS.spatial_softmax(heatmap.float(), kernel_size, 100.0),
            *OPS.soft_count(heatmap.float(), *rule),
            OPS.soft_count_backward(grad.float(), grad_sum.float(), heatmap.float(), *rule),
        ],
        dtype,
        exact=device == "cpu",  # nvcc fuses a multiplication and an addition as suits each kernel
    )
