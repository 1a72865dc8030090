"""find_peaks against every neighbour in turn; plateaus, infinities, NaN, windows beyond the map."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcount.ops import Peaks, find_peaks, find_peaks_padded, reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
INF, NAN = float("inf"), float("nan")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(got: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours.cpu(), theirs.cpu())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 11, 17, 31])
@pytest.mark.parametrize("smooth", [0, 3])
def test_equals_reference(device: str, dtype: torch.dtype, kernel_size: int, smooth: int) -> None:
    scores = noise(2, 3, 23, 37, seed=kernel_size).to(device, dtype)
    for levels in (0, 4):  # with few levels most neighbours are equal
        maps = (scores * levels).floor() / levels if levels else scores
        kwargs = {"kernel_size": kernel_size, "threshold": 0.4, "smooth": smooth}
        got = find_peaks(maps, **kwargs)
        assert len(got.scores) > 0
        # On a GPU PyTorch divides by a number by multiplying; our mean is the CPU's everywhere.
        theirs = maps.cpu()
        assert_same(got, reference.find_peaks(theirs, **kwargs))
        assert_same(
            find_peaks(maps, max_peaks=5, **kwargs),
            reference.find_peaks(theirs, max_peaks=5, **kwargs),
        )
        assert_same(
            find_peaks_padded(maps, max_peaks=9, **kwargs),
            reference.find_peaks_padded(theirs, max_peaks=9, **kwargs),
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(3000, 17), (17, 3000), (260, 300)])
@pytest.mark.parametrize("kernel_size", [3, 41])
def test_maps_larger_than_a_strip(device: str, shape: tuple[int, int], kernel_size: int) -> None:
    scores = (noise(1, 1, *shape, seed=7) * 50).floor().to(device)
    for threshold in (0.0, 49.0):
        kwargs = {"kernel_size": kernel_size, "threshold": threshold, "smooth": 0}
        assert_same(find_peaks(scores, **kwargs), reference.find_peaks(scores, **kwargs))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("max_peaks", [1, 9, 1000, 1024, 1025])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_highest_of_many(device: str, max_peaks: int, dtype: torch.dtype) -> None:
    scores = noise(1, 4, 110, 130, seed=3).to(device, dtype)
    scores[0, 0] -= 0.6  # below 0, too
    scores[0, 1] = (scores[0, 1] * 8).floor()  # of equal ones the first
    scores[0, 2] = 0.5 + scores[0, 2] * 2.0**-40  # equal in float32
    scores[0, 3, 40:] = 0.0
    for kernel_size in (1, 3):
        kwargs = {"kernel_size": kernel_size, "threshold": -0.5, "max_peaks": max_peaks}
        assert_same(
            find_peaks_padded(scores, **kwargs),
            reference.find_peaks_padded(scores.cpu(), **kwargs),
        )


@pytest.mark.parametrize("device", DEVICES)
def test_the_highest_is_the_last_of_one_more_than_a_block_sorts(device: str) -> None:
    scores = torch.arange(1.0, 1026.0, device=device).reshape(1, 1, 25, 41)
    kwargs = {"kernel_size": 1, "threshold": 0.0, "max_peaks": 2}
    assert find_peaks_padded(scores, **kwargs).points.tolist() == [[[[40, 24], [39, 24]]]]


@pytest.mark.parametrize("device", DEVICES)
def test_more_maps_than_a_block_numbers(device: str) -> None:
    scores = noise(4, 300, 3, 3).to(device)
    for max_peaks in (None, 1):
        got = find_peaks(scores, threshold=0.3, max_peaks=max_peaks)
        assert_same(got, reference.find_peaks(scores, threshold=0.3, max_peaks=max_peaks))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_small_map(data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 20)))
    value = st.sampled_from([-INF, -1.0, -0.0, 0.0, 1e-45, 0.5, 0.5, 1.0, INF, NAN])
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    count = height * width
    values = data.draw(st.lists(value, min_size=count, max_size=count))
    scores = torch.tensor(values, dtype=dtype).reshape(1, 1, height, width)
    kwargs = {
        "kernel_size": data.draw(st.sampled_from([1, 3, 5, 7, 25])),
        "threshold": data.draw(st.sampled_from([-INF, -1.0, 0.0, 0.5, INF])),
        "smooth": data.draw(st.sampled_from([0, 3])),
    }
    assert_same(find_peaks(scores, **kwargs), reference.find_peaks(scores, **kwargs))


@pytest.mark.parametrize("device", DEVICES)
def test_order_is_image_channel_score_position(device: str) -> None:
    scores = torch.zeros(2, 2, 5, 9, device=device)
    scores[0, 1, 2, 1] = 0.7
    scores[0, 1, 0, 4] = 0.9
    scores[0, 1, 4, 8] = 0.9
    scores[1, 0, 3, 3] = 0.6
    peaks = find_peaks(scores)
    assert isinstance(peaks, Peaks)
    assert peaks.points.tolist() == [[4, 0], [8, 4], [1, 2], [3, 3]]
    torch.testing.assert_close(peaks.scores.cpu(), torch.tensor([0.9, 0.9, 0.7, 0.6]))
    assert peaks.batch.tolist() == [0, 0, 0, 1]
    assert peaks.channel.tolist() == [1, 1, 1, 0]
    assert find_peaks(scores, max_peaks=1).points.tolist() == [[4, 0], [3, 3]]


@pytest.mark.parametrize("device", DEVICES)
def test_one_peak_a_plateau(device: str) -> None:
    flat = torch.full((1, 1, 4, 6), 0.8, device=device)
    assert find_peaks(flat, kernel_size=99).points.tolist() == [[0, 0]]
    scores = torch.zeros(1, 1, 7, 7, device=device)
    scores[0, 0, 2:4, 2:4] = 1.0
    assert find_peaks(scores).points.tolist() == [[2, 2]]


@pytest.mark.parametrize("device", DEVICES)
def test_nan_and_infinity(device: str) -> None:
    scores = torch.tensor([[0.1, NAN, 0.2, INF, 0.3]], device=device)[None, None]
    peaks = find_peaks(scores, threshold=-INF)
    assert peaks.points[:, 0].tolist() == [3, 0]
    assert peaks.scores[0].item() == INF
    assert len(find_peaks(torch.full((1, 1, 3, 3), NAN, device=device)).scores) == 0
    lowest = torch.full((1, 1, 3, 3), -INF, device=device)
    assert find_peaks(lowest, threshold=-INF).points.tolist() == [[0, 0]]


@pytest.mark.parametrize("device", DEVICES)
def test_smoothing_counts_the_zeros_outside(device: str) -> None:
    scores = torch.ones(1, 1, 3, 3, device=device)
    peaks = find_peaks(scores, smooth=3, threshold=0.0)
    assert peaks.points.tolist() == [[1, 1]]
    assert peaks.scores.tolist() == [1.0]
    corner = find_peaks(scores[..., :1, :1], smooth=3, threshold=0.0)
    torch.testing.assert_close(corner.scores.cpu(), torch.tensor([1 / 9]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0)])
@pytest.mark.parametrize("smooth", [0, 3])
def test_nothing_in_nothing_out(device: str, shape: tuple[int, ...], smooth: int) -> None:
    scores = torch.zeros(shape, device=device, requires_grad=True)
    peaks = find_peaks(scores, smooth=smooth)
    assert peaks.points.shape == (0, 2)
    padded = find_peaks_padded(scores.detach(), smooth=smooth, max_peaks=4)
    assert padded.points.shape == (*shape[:2], 4, 2)
    assert not padded.valid.any()
    assert not padded.scores.any()
    assert (padded.points == -1).all()


@pytest.mark.parametrize("device", DEVICES)
def test_padding(device: str) -> None:
    scores = torch.zeros(1, 2, 4, 4, device=device)
    scores[0, 1, 2, 3] = 0.9
    padded = find_peaks_padded(scores, max_peaks=2)
    assert padded.valid.tolist() == [[0, 1]]
    assert padded.points.tolist() == [[[[-1, -1], [-1, -1]], [[3, 2], [-1, -1]]]]
    torch.testing.assert_close(padded.scores.cpu(), torch.tensor([[[0, 0], [0.9, 0]]]))


@pytest.mark.parametrize("device", DEVICES)
def test_layout_and_threads_leave_the_result_alone(device: str) -> None:
    scores = noise(2, 3, 200, 210, seed=5).to(device)
    peaks = find_peaks(scores)
    assert_same(find_peaks(scores.to(memory_format=torch.channels_last)), peaks)
    threads = torch.get_num_threads()
    try:
        for other in (1, 3):
            torch.set_num_threads(other)
            assert_same(find_peaks(scores), peaks)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_as_many_peaks_as_fit(device: str, kernel_size: int) -> None:
    step = kernel_size // 2 + 1
    scores = torch.zeros(2, 3, 7, 10, device=device)
    scores[..., ::step, ::step] = 1.0
    for max_peaks in (70, 1025):
        kwargs = {"kernel_size": kernel_size, "max_peaks": max_peaks}
        padded = find_peaks_padded(scores, **kwargs)
        assert padded.valid.tolist() == [[-(-7 // step) * -(-10 // step)] * 3] * 2
        assert_same(padded, reference.find_peaks_padded(scores.cpu(), **kwargs))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("smooth", [0, 3])
def test_scores_carry_the_gradient(device: str, smooth: int) -> None:
    scores = noise(2, 2, 9, 8, seed=2).double().to(device).requires_grad_()
    kwargs = {"threshold": 0.1, "smooth": smooth}
    assert_same(find_peaks(scores, **kwargs), find_peaks(scores.detach(), **kwargs))
    torch.autograd.gradcheck(lambda s: find_peaks(s, **kwargs).scores, scores, eps=1e-7)
    torch.autograd.gradcheck(
        lambda s: find_peaks_padded(s, max_peaks=9, **kwargs).scores, scores, eps=1e-7
    )
    with pytest.raises(RuntimeError, match="no gradient"):
        torch.ops.fastcount.find_peaks(scores, 3, 0.5, False, None)[1].sum().backward()


def test_wrong_arguments() -> None:
    scores = noise(1, 1, 4, 4)
    for size in (0, -3, 4):
        with pytest.raises(ValueError, match=f"kernel_size must be odd and at least 1, got {size}"):
            find_peaks(scores, kernel_size=size)
    with pytest.raises(TypeError, match="kernel_size must be a whole number"):
        find_peaks(scores, kernel_size=3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold must be a number, got NaN"):
        find_peaks(scores, threshold=NAN)
    with pytest.raises(ValueError, match="smooth must be 0"):
        find_peaks(scores, smooth=5)
    with pytest.raises(ValueError, match="max_peaks must be at least 1, got 0"):
        find_peaks_padded(scores, max_peaks=0)
    with pytest.raises(ValueError, match=r"shape \(B, C, H, W\), got \(4, 4\)"):
        find_peaks(scores[0, 0])
    with pytest.raises(TypeError, match="floating point"):
        find_peaks(scores.int())
    with pytest.raises(RuntimeError, match="odd"):
        torch.ops.fastcount.find_peaks(scores, 2, 0.5, False, None)
    with pytest.raises(RuntimeError, match="threshold must not be NaN"):
        torch.ops.fastcount.find_peaks(scores, 3, NAN, False, None)


def test_opcheck() -> None:
    scores = noise(2, 2, 6, 7)
    torch.library.opcheck(torch.ops.fastcount.find_peaks.default, (scores, 3, 0.5, False, None))
    torch.library.opcheck(torch.ops.fastcount.find_peaks_padded.default, (scores, 3, 0.5, True, 4))


@pytest.mark.parametrize("grad", [False, True])
def test_compiles_whole(grad: bool) -> None:
    def best(scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return find_peaks_padded(scores, max_peaks=5, smooth=3, threshold=0.2)

    compiled = torch.compile(best, fullgraph=True, backend="aot_eager", dynamic=True)
    for side in (6, 9):
        scores = noise(1, 2, side, 8).requires_grad_(grad)
        assert_same(compiled(scores), best(scores))


def test_find_peaks_compiles_whole() -> None:
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(find_peaks, fullgraph=True, backend="aot_eager")
        scores = noise(1, 2, 9, 8)
        assert_same(compiled(scores), find_peaks(scores))
