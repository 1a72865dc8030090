"""cross_label: five pixels a point, cut off at the border."""

from __future__ import annotations

import pytest
import torch

from fastcount.ops import cross_label, reference

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]


@pytest.mark.parametrize("device", DEVICES)
def test_by_hand(device: str) -> None:
    label = cross_label(torch.tensor([[1.4, 0.6], [3.5, -0.5]], device=device), (3, 4))
    assert label.dtype == torch.float32
    # (1.4, 0.6) rounds to column 1, row 1; x = 3.5 is the right edge: outside
    assert label.tolist() == [[[[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]]]]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_reference(device: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    sets = [
        (torch.rand(n, 2, generator=generator, dtype=torch.float64) * 30 - 4).to(device, dtype)
        for n in (20, 0, 1, 7)
    ]
    for size in ((20, 23), (1, 1), (1, 30), (30, 1)):
        label = cross_label(sets, size)
        assert label.shape == (4, 1, *size)
        assert torch.equal(label, reference.cross_label(sets, size))
        assert torch.equal(cross_label(sets[0].T.contiguous().T, size), label[:1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("width", [1, 5, 64, 131])
def test_crosses_at_every_row_of_tall_maps(device: str, width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    rows = torch.arange(-2, 99, dtype=torch.float64)
    across = torch.rand(len(rows), generator=generator, dtype=torch.float64) * width
    points = torch.stack([across, rows], 1).to(device)
    for sets in ([points], [points[:0], points[1::7], points[::7], points[3::7]]):
        label = cross_label(sets, (97, width))
        assert torch.equal(label, reference.cross_label(sets, (97, width)))


@pytest.mark.parametrize("device", DEVICES)
def test_half_way_between_two_pixels_belongs_to_the_second(device: str) -> None:
    points = torch.tensor([[0.5, 2.5], [-0.5, -0.5], [3.5, 0.5]], device=device)
    label = cross_label(points, (5, 5))
    whole = torch.tensor([[1.0, 3.0], [0.0, 0.0], [4.0, 1.0]], device=device)
    assert torch.equal(label, cross_label(whole, (5, 5)))


@pytest.mark.parametrize("device", DEVICES)
def test_more_pictures_than_a_launch_takes(device: str) -> None:
    columns = torch.arange(300) % 7
    points = torch.stack([columns, columns % 2], 1).float().to(device)
    labels = cross_label(list(points[:, None]), (2, 7))
    alone = torch.cat([cross_label(each[None], (2, 7)) for each in points[:7]])
    assert torch.equal(labels, alone[columns])


def test_refusals() -> None:
    points = torch.zeros(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient"):
        cross_label(points, (4, 4)).sum().backward()
    with pytest.raises(ValueError, match="size must be at least 1"):
        cross_label(points.detach(), (0, 4))
    with pytest.raises(ValueError, match="not finite"):
        cross_label(torch.full((1, 2), torch.nan), (4, 4))


def test_opcheck_and_compile() -> None:
    points = torch.rand(6, 2, dtype=torch.float64) * 9
    torch.library.opcheck(torch.ops.fastcount.cross_label.default, (points, [2, 0, 4], 7, 9))
    compiled = torch.compile(cross_label, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(points, (7, 9)), cross_label(points, (7, 9)))
