"""Maps of odd widths that begin anywhere in memory; run by test_operators in the emulator, and
by gpu-check.

The kernels read 16 bytes at a time where a row lies on 16 bytes and one number elsewhere: the
answer is the same, bit by bit, wherever the map begins.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastcount.ops import native, reference

OPS = torch.ops.fastcount
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WIDTHS = [1, 8, 37, 131]
CUDA = pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))
DEVICES = pytest.mark.parametrize("device", ["cpu", CUDA])


def moved(values: Tensor, offset: int) -> Tensor:
    """The same values, contiguous, ``offset`` elements behind an aligned place."""
    room = torch.empty(values.numel() + offset, dtype=values.dtype, device=values.device)
    room[offset:] = values.flatten()
    held = room[offset:].view(values.shape)
    assert held.is_contiguous()
    assert held.data_ptr() % 16 == offset * values.element_size() % 16
    return held


def peaks(maps: Tensor) -> list[Tensor]:
    return [
        *OPS.find_peaks(maps, 3, 0.4, False, None),
        *OPS.find_peaks(maps, 5, 0.3, True, None),
        *OPS.find_peaks_padded(maps, 19, 0.1, False, 6),
    ]


def peak_maps(maps: Tensor) -> list[Tensor]:
    kept = OPS.peak_map(maps, maps, 1)
    entries = moved(kept, maps.storage_offset())
    counts = torch.tensor([[2, 40, 0]], device=maps.device).expand(kept.shape[:2]).contiguous()
    return [kept, OPS.peak_map(maps, maps, 2), OPS.top_peaks_mask(entries, counts)]


def soft_counts(maps: Tensor) -> list[Tensor]:
    grad, grad_sum = moved(maps.flip(2), maps.storage_offset()), maps[:, :, 0, 0].contiguous()
    outputs = [OPS.spatial_softmax(maps, 3, 9.0)]
    for kernel_size in (3, 21):
        rule = (kernel_size, 9.0, 15.0, 0.4)
        outputs += [*OPS.soft_count(maps, *rule)]
        outputs += [OPS.soft_count_backward(grad, grad_sum, maps, *rule)]
    return outputs


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("work", [peaks, peak_maps, soft_counts])
def test_the_place_of_a_map_leaves_the_bits_alone(
    work: Callable[[Tensor], list[Tensor]], width: int, dtype: torch.dtype, device: str
) -> None:
    draw = torch.Generator().manual_seed(width)
    values = (torch.rand(1, 3, 18, width, generator=draw) * 50).round().div(50).to(device, dtype)
    expected = work(moved(values, 0))
    for offset in (1, 3):
        for ours, theirs in zip(work(moved(values, offset)), expected, strict=True):
            if work is soft_counts and device == "cuda":
                # nvcc fuses a multiplication and an addition as suits each kernel.
                torch.testing.assert_close(ours, theirs)
            else:
                assert torch.equal(ours, theirs)


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_odd_widths_equal_the_reference(width: int, dtype: torch.dtype, device: str) -> None:
    assert device in native.narrow_devices  # else float16 and bfloat16 would arrive as float32
    draw = torch.Generator().manual_seed(4)
    values = torch.rand(2, 1, 9, width, generator=draw).to(device, dtype)
    found = OPS.find_peaks(moved(values, 1), 3, 0.3, False, None)
    for ours, theirs in zip(found, reference.find_peaks(values, threshold=0.3), strict=True):
        assert torch.equal(ours, theirs)
    kept = OPS.peak_map(moved(values, 1), values, 1)
    assert torch.equal(kept, reference.peak_map(values))
    counts = torch.tensor([[1], [5]], device=device)
    assert torch.equal(
        OPS.top_peaks_mask(moved(kept, 1), counts), reference.top_peaks_mask(kept, counts)
    )
