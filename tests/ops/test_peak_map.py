"""peak_map and top_peaks_mask against plain comparisons and sorts."""

from __future__ import annotations

import pytest
import torch

from fastcount.ops import peak_map, reference, top_peaks_mask

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("radius", [0, 1, 2, 9])
@pytest.mark.parametrize("shape", [(2, 3, 14, 14), (1, 1, 600, 70), (1, 2, 1, 1), (2, 0, 3, 3)])
def test_peak_map_equals_reference(
    device: str, dtype: torch.dtype, radius: int, shape: tuple[int, ...]
) -> None:
    maps = noise(*shape, seed=radius).to(device, dtype)
    for values in (maps, (2 * maps).round()):  # the second has plateaus, which hold no peak
        got = peak_map(values, radius=radius)
        assert got.dtype == dtype
        assert torch.equal(got, reference.peak_map(values, radius=radius))
        assert torch.equal(peak_map(values.transpose(2, 3), radius=radius), got.transpose(2, 3))


@pytest.mark.parametrize("device", DEVICES)
def test_peak_map_by_hand(device: str) -> None:
    nan, inf = float("nan"), float("inf")
    rows = [[1.0, 1.0, -2.0, nan], [0.0, 0.5, -3.0, -9.0], [inf, 2.0, -1.0, -5.0]]
    peaks = peak_map(torch.tensor(rows, device=device)[None, None])
    assert peaks[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [inf, 0, 0, 0]]
    lone = peak_map(torch.tensor([[-4.0, nan]], device=device)[None, None])
    assert lone.tolist() == [[[[-4.0, 0.0]]]]
    alone = torch.full((1, 1, 1, 1), nan, device=device)
    for radius in (0, 1, 2):
        assert peak_map(alone, radius=radius).item() == 0.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("radius", [20, 2**31, 2**63 - 1])
def test_windows_far_beyond_the_border_hold_the_map(device: str, radius: int) -> None:
    maps = noise(1, 2, 9, 7).to(device)
    greatest = maps.flatten(2).amax(2)[..., None, None]
    assert torch.equal(peak_map(maps, radius=radius), torch.where(maps == greatest, maps, 0.0))


@pytest.mark.parametrize("device", DEVICES)
def test_gradient_passes_at_the_peaks(device: str) -> None:
    maps = noise(2, 2, 6, 7).double().to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: peak_map(m), maps, eps=1e-7)
    assert torch.autograd.gradgradcheck(lambda m: peak_map(m).square(), maps, eps=1e-7)
    zero = torch.tensor([[-1.0, 0.0]], device=device)[None, None].requires_grad_()
    peak_map(zero).sum().backward()
    assert zero.grad is not None
    assert zero.grad.tolist() == [[[[0.0, 1.0]]]]  # a peak of height 0 is one too
    with pytest.raises(RuntimeError, match="no gradient"):
        torch.ops.fastcount.peak_map(maps, maps, 1).sum().backward()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_mask_equals_reference(device: str, dtype: torch.dtype) -> None:
    for maps in (noise(3, 4, 14, 14), (2 * noise(3, 4, 14, 14)).round()):
        peaks = peak_map(maps.to(device, dtype))
        counts = torch.arange(12, device=device).reshape(3, 4) * 3
        mask = top_peaks_mask(peaks, counts)
        assert mask.dtype == dtype
        assert torch.equal(mask, reference.top_peaks_mask(peaks, counts))
        assert torch.equal(top_peaks_mask(peaks.transpose(0, 1), counts.T), mask.transpose(0, 1))


@pytest.mark.parametrize("device", DEVICES)
def test_mask_by_hand(device: str) -> None:
    peaks = torch.tensor([5.0, 0.0, 3.0, 3.0, -1.0, float("nan")], device=device)
    peaks = peaks.expand(1, 6, 6)[:, :, None]
    counts = torch.tensor([[0, 1, 2, 3, 4, 99]], device=device)
    assert top_peaks_mask(peaks, counts)[0, :, 0].tolist() == [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [1, 0, 1, 1, 0, 0],
        [1, 0, 1, 1, 0, 0],
        [1, 0, 1, 1, 1, 0],
        [1, 0, 1, 1, 1, 0],
    ]
    assert top_peaks_mask(peaks[..., :0], counts).shape == (1, 6, 1, 0)


def test_refusals() -> None:
    maps = noise(1, 2, 4, 4)
    counts = torch.ones(1, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        peak_map(maps, radius=-1)
    with pytest.raises(ValueError, match=r"maps must have shape \(B, C, H, W\)"):
        peak_map(maps[0])
    with pytest.raises(TypeError, match="counts must have an integer dtype"):
        top_peaks_mask(maps, counts.float())
    with pytest.raises(ValueError, match=r"counts must have shape \(1, 2\)"):
        top_peaks_mask(maps, counts.T)
    with pytest.raises(RuntimeError, match="no gradient"):
        top_peaks_mask(maps.requires_grad_(), counts).sum().backward()


def test_opcheck_and_compile() -> None:
    maps = noise(1, 2, 6, 6)
    counts = torch.tensor([[1, 3]])
    values = maps.clone().requires_grad_()
    torch.library.opcheck(torch.ops.fastcount.peak_map.default, (maps, values, 1))
    torch.library.opcheck(torch.ops.fastcount.top_peaks_mask.default, (maps, counts))

    def both(maps: torch.Tensor) -> torch.Tensor:
        return peak_map(maps) + top_peaks_mask(maps.detach(), counts)

    compiled = torch.compile(both, fullgraph=True, backend="aot_eager", dynamic=True)
    for side in (6, 9):
        maps = noise(1, 2, side, 6).requires_grad_()
        assert torch.equal(compiled(maps), both(maps))
