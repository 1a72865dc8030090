"""adaptive_sigma: beta times the neighbours' distance, the fallback for a lone point."""

from __future__ import annotations

import pytest
import torch

from fastcount.ops import adaptive_sigma, reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]


@pytest.mark.parametrize("device", DEVICES)
def test_by_hand(device: str) -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0]], device=device)
    # neighbours at 5 and 10; 5 and sqrt(45); 10 and sqrt(45)
    expected = torch.tensor([7.5, (5 + 45**0.5) / 2, (10 + 45**0.5) / 2], device=device)
    torch.testing.assert_close(adaptive_sigma(points), 0.1 * expected)
    torch.testing.assert_close(adaptive_sigma(points, beta=2.0), 2.0 * expected)
    assert adaptive_sigma(points, k=1, beta=1.0)[0].item() == 5.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_reference(device: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    sets = [
        (torch.rand(n, 2, generator=generator, dtype=torch.float64) * 80).to(device, dtype)
        for n in (1, 0, 2, 60)
    ]
    got = adaptive_sigma(sets, k=3, beta=0.3, fallback=4.0)
    expected = reference.adaptive_sigma(sets, k=3, beta=0.3, fallback=4.0)
    assert [each.shape[0] for each in got] == [1, 0, 2, 60]
    assert got[0].tolist() == [4.0]
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_one_point_and_none(device: str) -> None:
    assert adaptive_sigma(torch.zeros(1, 2, device=device)).tolist() == [15.0]
    assert adaptive_sigma(torch.zeros(0, 2, device=device)).shape == (0,)


def test_wrong_arguments() -> None:
    points = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="beta must be positive, got 0"):
        adaptive_sigma(points, beta=0)
    with pytest.raises(ValueError, match="fallback must be finite"):
        adaptive_sigma(points, fallback=float("inf"))
    with pytest.raises(TypeError, match="beta must be a number"):
        adaptive_sigma(points, beta="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k must be at least 1"):
        adaptive_sigma(points, k=0)


def test_gradient_is_refused() -> None:
    points = torch.rand(5, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient"):
        adaptive_sigma(points).sum().backward()
