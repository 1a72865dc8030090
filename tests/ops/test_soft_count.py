"""spatial_softmax and soft_count against the formula in PyTorch, forward and backward."""

from __future__ import annotations

import math

import pytest
import torch

from fastcount.ops import reference, soft_count, spatial_softmax

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
EXACT = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 1e-2, torch.bfloat16: 1e-1}


def heat(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("kernel_size", [1, 3, 7, 31])
@pytest.mark.parametrize("shape", [(2, 3, 14, 15), (1, 1, 90, 300), (2, 1, 1, 1), (1, 2, 40, 1)])
def test_equals_reference(
    device: str, dtype: torch.dtype, kernel_size: int, shape: tuple[int, ...]
) -> None:
    maps = (heat(*shape, seed=kernel_size) - 0.7).to(device, dtype)
    for values in (maps, (3 * maps).round() / 3):  # the second is full of equal neighbours
        for beta in (100.0, 3.0):
            results = []
            for ops in (spatial_softmax, reference.spatial_softmax):
                leaf = values.clone().requires_grad_()
                out = ops(leaf, kernel_size=kernel_size, beta=beta)
                (out * values.flip(3)).sum().backward()
                results.append((out, leaf.grad))
            for ours, theirs in zip(*results, strict=True):
                assert ours.dtype == dtype
                torch.testing.assert_close(ours, theirs, rtol=EXACT[dtype], atol=EXACT[dtype])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("kernel_size", "part"), [(3, "map"), (3, "count"), (3, "both"), (5, "both"), (19, "both")]
)
def test_soft_count_equals_reference(
    device: str, dtype: torch.dtype, kernel_size: int, part: str
) -> None:
    maps = heat(2, 3, 33, 47, seed=1).to(device, dtype)
    results = []
    for ops in (soft_count, reference.soft_count):
        leaf = maps.clone().requires_grad_()
        options = {"kernel_size": kernel_size, "steepness": 9.0, "threshold": 0.4}
        detection, count = ops(leaf, beta=4.0, **options)
        assert count.shape == (2, 3)
        loss = (detection * maps.flip(2)).sum() if part != "count" else 0.0
        if part != "map":
            loss = loss + (count * torch.arange(6, device=device).reshape(2, 3)).sum()
        loss.backward()
        results.append((detection, count, leaf.grad))
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=EXACT[dtype], atol=EXACT[dtype])


@pytest.mark.parametrize("device", DEVICES)
def test_counts_peaks(device: str) -> None:
    maps = torch.zeros(1, 1, 20, 20, dtype=torch.float64, device=device)
    for x, y in ((0, 0), (5, 5), (10, 3), (19, 19)):
        maps[0, 0, y, x] = 1.2
    maps[0, 0, 5, 6] = 1.1  # beside a higher one
    detection, count = soft_count(maps)
    ground = 1 / (1 + math.exp(15 * 0.8))
    peak = 1 / (1 + math.exp(-15 * 0.4))
    expected = 4 * peak + 395 * ground + 1 / (1 + math.exp(-15 * (1.1 * math.exp(-10) - 0.8)))
    assert count.item() == pytest.approx(expected, rel=1e-12)
    assert detection.sum().item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("device", DEVICES)
def test_gradcheck(device: str) -> None:
    maps = heat(1, 2, 5, 6).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: spatial_softmax(m, beta=3.0), maps)
    assert torch.autograd.gradcheck(lambda m: soft_count(m, beta=3.0, kernel_size=5), maps)
    (grad,) = torch.autograd.grad(soft_count(maps)[1].sum(), maps, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize("device", DEVICES)
def test_nan_stays_where_it_is(device: str) -> None:
    maps = torch.tensor([[0.5, math.nan, 0.25, 0.25]], device=device)[None, None]
    out = spatial_softmax(maps)[0, 0, 0].tolist()
    assert out[0] == 0.5
    assert math.isnan(out[1])
    assert out[2:] == [0.25, 0.25]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0)])
def test_nothing_in_nothing_out(device: str, shape: tuple[int, ...]) -> None:
    maps = torch.zeros(shape, device=device, requires_grad=True)
    detection, count = soft_count(maps)
    assert detection.shape == spatial_softmax(maps).shape == shape
    assert count.shape == shape[:2]
    assert not count.any()
    count.sum().backward()
    assert maps.grad is not None
    assert maps.grad.shape == shape


@pytest.mark.parametrize("device", DEVICES)
def test_layout_and_threads_leave_the_bits_alone(device: str) -> None:
    maps = heat(2, 2, 130, 140).float().to(device)

    def run(values: torch.Tensor) -> list[torch.Tensor]:
        leaf = values.detach().requires_grad_()
        detection, count = soft_count(leaf, beta=5.0)
        (detection.sum() + count.square().sum()).backward()
        assert leaf.grad is not None
        return [detection, count, leaf.grad]

    expected = run(maps)
    threads = torch.get_num_threads()
    try:
        for other in (1, 3):
            torch.set_num_threads(other)
            for values in (maps, maps.to(memory_format=torch.channels_last)):
                for ours, theirs in zip(run(values), expected, strict=True):
                    assert torch.equal(ours, theirs)
    finally:
        torch.set_num_threads(threads)


def test_wrong_arguments() -> None:
    maps = heat(1, 1, 4, 4)
    with pytest.raises(ValueError, match="kernel_size must be odd and at least 1, got 2"):
        spatial_softmax(maps, kernel_size=2)
    with pytest.raises(ValueError, match="beta must be at least 0, got -1"):
        spatial_softmax(maps, beta=-1.0)
    with pytest.raises(ValueError, match="threshold must be finite"):
        soft_count(maps, threshold=math.nan)
    with pytest.raises(ValueError, match=r"heatmap must have shape \(B, C, H, W\)"):
        soft_count(maps[0])
    with pytest.raises(TypeError, match="floating point"):
        soft_count(maps.long())


def test_opcheck_and_compile() -> None:
    maps = heat(1, 2, 6, 7).requires_grad_()
    ops = torch.ops.fastcount
    torch.library.opcheck(ops.spatial_softmax.default, (maps, 3, 5.0))
    torch.library.opcheck(ops.soft_count.default, (maps, 3, 5.0, 15.0, 0.8))
    maps = maps.detach()
    grad, grad_count = torch.rand_like(maps), torch.rand(1, 2, dtype=maps.dtype)
    torch.library.opcheck(ops.spatial_softmax_backward.default, (grad, maps, 3, 5.0))
    for given in ((grad, grad_count), (grad, None), (None, grad_count)):
        torch.library.opcheck(ops.soft_count_backward.default, (*given, maps, 3, 5.0, 15.0, 0.8))

    def loss(maps: torch.Tensor) -> torch.Tensor:
        detection, count = soft_count(maps, beta=5.0)
        return detection.square().sum() + count.sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=True)
    for side in (6, 9):
        values = heat(1, 2, side, 7).requires_grad_()
        (ours,) = torch.autograd.grad(compiled(values), values)
        (theirs,) = torch.autograd.grad(loss(values), values)
        torch.testing.assert_close(ours, theirs)
