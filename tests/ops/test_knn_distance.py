"""knn_distance against all pairs and against scipy; sets that break a search by cells."""

from __future__ import annotations

import pytest
import torch

from fastcount.ops import knn_distance, reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
EXACT = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 1e-3}


def scattered(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 2, generator=generator, dtype=torch.float64) * 300 - 20).to(dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("count", [2, 3, 8, 9, 17, 200])
@pytest.mark.parametrize("k", [1, 4, 5, 8, 9, 16, 17, 30])
def test_equals_all_pairs(device: str, dtype: torch.dtype, count: int, k: int) -> None:
    points = scattered(count, seed=count + k, dtype=dtype).to(device)
    distance = knn_distance(points, k)
    assert distance.dtype == dtype
    assert distance.shape == (count,)
    torch.testing.assert_close(
        distance, reference.knn_distance(points, k), rtol=EXACT[dtype], atol=0
    )


@pytest.mark.parametrize("device", DEVICES)
def test_equals_scipy_on_a_crowd(device: str) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    points = scattered(5000, seed=3)
    expected = spatial.cKDTree(points.numpy()).query(points.numpy(), k=5)[0][:, 1:].mean(axis=1)
    distance = knn_distance(points.to(device), 4).cpu()
    torch.testing.assert_close(distance, torch.from_numpy(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", ["line", "column", "clusters", "stray", "lattice", "repeated"])
def test_uneven_sets(device: str, shape: str) -> None:
    points = scattered(300, seed=1)
    if shape == "line":
        points = points[:, :1].expand(-1, 2)
    elif shape == "column":
        points[:, 0] = 7.0
    elif shape == "clusters":
        points[::2] += 1e7
    elif shape == "stray":
        points[5] = torch.tensor([-1e9, 1e9])
    elif shape == "lattice":
        points = points.round() // 40
    else:
        points = points[:20].repeat(15, 1)
    points = points.to(device)
    torch.testing.assert_close(
        knn_distance(points, 5), reference.knn_distance(points, 5), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("device", DEVICES)
def test_a_heap_of_equal_points_costs_no_more_than_others(device: str) -> None:
    # All pairs of these would be 4e10 distances.
    points = torch.full((200_000, 2), 3.5, device=device)
    points[0, 0] = 4.5
    distance = knn_distance(points, 10)
    assert distance[0].item() == 1.0
    assert not distance[1:].any()


@pytest.mark.parametrize("device", DEVICES)
def test_few_points(device: str) -> None:
    pair = torch.tensor([[0.0, 0.0], [3.0, 4.0]], device=device)
    assert knn_distance(pair, 4).tolist() == [5.0, 5.0]
    assert knn_distance(pair[:1], 4).tolist() == [torch.inf]
    assert knn_distance(pair[:0], 4).shape == (0,)


@pytest.mark.parametrize("device", DEVICES)
def test_batch_of_sets(device: str) -> None:
    sets = [scattered(n, seed=n).float().to(device) for n in (40, 0, 1, 100, 3)]
    for got, points in zip(knn_distance(sets, 3), sets, strict=True):
        assert torch.equal(got, knn_distance(points, 3))
    assert knn_distance([], 3) == []


@pytest.mark.parametrize("device", DEVICES)
def test_layout_and_threads_leave_the_bits_alone(device: str) -> None:
    points = scattered(3000, seed=9).to(device)
    distance = knn_distance(points, 4)
    strided = points.T.contiguous().T
    assert torch.equal(distance, knn_distance(strided, 4))
    threads = torch.get_num_threads()
    try:
        for other in (1, 3):
            torch.set_num_threads(other)
            assert torch.equal(distance, knn_distance(points, 4))
    finally:
        torch.set_num_threads(threads)


def test_wrong_arguments() -> None:
    points = scattered(5)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        knn_distance(points, 0)
    with pytest.raises(TypeError, match="k must be a whole number"):
        knn_distance(points, 1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"points must have shape \(N, 2\)"):
        knn_distance(points[:, :1], 1)
    with pytest.raises(TypeError, match="floating point"):
        knn_distance(points.long(), 1)
    points[2, 1] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        knn_distance(points, 1)
    with pytest.raises(RuntimeError, match="finite"):
        torch.ops.fastcount.knn_distance(points, [5], 1)
    with pytest.raises(RuntimeError, match="counts"):
        torch.ops.fastcount.knn_distance(scattered(5), [4], 1)
    with pytest.raises(RuntimeError, match="counts must not be negative, got -1"):
        torch.ops.fastcount.knn_distance(scattered(5), [6, -1], 1)
    with pytest.raises(RuntimeError, match="counts add up to more than 64 bits hold"):
        torch.ops.fastcount.knn_distance(scattered(5), [2**62] * 4 + [5], 1)


def test_gradient_is_refused() -> None:
    points = scattered(5).requires_grad_()
    with pytest.raises(RuntimeError, match="no gradient"):
        knn_distance(points, 2).sum().backward()


def test_opcheck() -> None:
    torch.library.opcheck(torch.ops.fastcount.knn_distance.default, (scattered(9), [4, 0, 5], 2))


def test_compiles_whole() -> None:
    compiled = torch.compile(knn_distance, fullgraph=True, backend="aot_eager", dynamic=True)
    for count in (6, 11):
        points = scattered(count)
        assert torch.equal(compiled(points, 3), knn_distance(points, 3))
