"""CountSeg's losses against equations 2 to 7, entry by entry in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastcount.losses import countseg


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.fixture
def maps() -> tuple[Tensor, Tensor, Tensor]:
    """Category and density maps (3, 4, 5, 6), and counts with every set in one picture or other."""
    generator = torch.Generator().manual_seed(2)
    category = torch.randn(3, 4, 5, 6, dtype=torch.float64, generator=generator)
    density = torch.randn(3, 4, 5, 6, dtype=torch.float64, generator=generator) / 4
    return category, density, torch.tensor([[0, 1, 3, 9], [0, 0, 5, 0], [2, 4, 1, 1]])


def plain_peaks(one: Tensor) -> dict[tuple[int, int], float]:
    """The strict maxima of a map (h, w) that are not 0."""
    height, width = one.shape
    found = {}
    for v in range(height):
        for u in range(width):
            around = [
                float(one[y, x])
                for y in range(max(0, v - 1), min(height, v + 2))
                for x in range(max(0, u - 1), min(width, u + 2))
                if (y, x) != (v, u)
            ]
            if all(float(one[v, u]) > value for value in around) and float(one[v, u]) != 0:
                found[v, u] = float(one[v, u])
    return found


def test_scores_and_class_loss(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    category, _, counts = maps
    category[0, 0] = 1.0  # no peak
    scores = countseg.class_scores(category)
    total = 0.0
    for b in range(3):
        for c in range(4):
            peaks = plain_peaks(category[b, c])
            score = sum(peaks.values()) / len(peaks) if peaks else 0.0
            assert float(scores[b, c]) == pytest.approx(score, rel=1e-12)
            p = sigmoid(score)
            total -= math.log(p) if counts[b, c] > 0 else math.log(1 - p)
    assert float(countseg.class_loss(scores, counts)) == pytest.approx(total / 12, rel=1e-9)


def test_scores_of_the_public_code(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    """Peaks from the median on, and the whole gradient for each."""
    category = maps[0].requires_grad_()
    scores = countseg.class_scores(category, "public")
    scores.sum().backward()
    assert category.grad is not None
    fewer = 0
    for b in range(3):
        for c in range(4):
            one = category[b, c].detach()
            every = plain_peaks(one)
            middle = sorted(one.flatten().tolist())[(one.numel() - 1) // 2]
            peaks = {place: value for place, value in every.items() if value >= middle}
            fewer += len(every) - len(peaks)
            expected = sum(peaks.values()) / len(peaks) if peaks else 0.0
            assert float(scores[b, c].detach()) == pytest.approx(expected, rel=1e-12)
            gradient = torch.zeros_like(one)
            for place in peaks:
                gradient[place] = 1
            assert torch.equal(category.grad[b, c], gradient)
    assert fewer > 0


def test_peak_mask_is_equation_2(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    category, _, counts = maps
    mask = countseg.peak_mask(category.requires_grad_(), counts)
    assert not mask.requires_grad
    for b in range(3):
        for c in range(4):
            t = int(counts[b, c])
            peaks = sorted(plain_peaks(category[b, c].detach()).items(), key=lambda one: -one[1])
            wanted = {place for place, _ in peaks[: t if t <= 4 else 0]}
            assert {(v, u) for v, u in mask[b, c].nonzero().tolist()} == wanted


def test_spatial_losses_are_equations_4_and_5(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    category, density, counts = maps
    mask = countseg.peak_mask(category, counts)
    positive = negative = 0.0
    for b in range(3):
        some = [c for c in range(4) if 0 < counts[b, c] <= 4]
        none = [c for c in range(4) if counts[b, c] == 0]
        for c in some:
            at = mask[b, c].nonzero().tolist()
            logs = sum(math.log(sigmoid(float(density[b, c, v, u]))) for v, u in at)
            positive -= logs / (len(some) * len(at)) / 3
        for c in none:
            values = density[b, c].flatten().tolist()
            negative -= sum(math.log(1 - sigmoid(d)) for d in values) / (len(none) * 30) / 3
    found = countseg.spatial_positive_loss(density, mask, counts)
    assert float(found) == pytest.approx(positive, rel=1e-9)
    found = countseg.spatial_negative_loss(density, counts)
    assert float(found) == pytest.approx(negative, rel=1e-9)


def test_global_losses_are_equations_6_and_7(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    _, density, counts = maps
    predicted = density.sum(dim=(2, 3)) + 3
    mse = rank = 0.0
    for b in range(3):
        known = [c for c in range(4) if counts[b, c] <= 4]
        beyond = [c for c in range(4) if counts[b, c] > 4]
        mse += sum((float(predicted[b, c] - counts[b, c])) ** 2 for c in known) / len(known) / 3
        if beyond:
            short = sum(max(0.0, 5 - float(predicted[b, c])) for c in beyond)
            rank += short / len(beyond) / 3
    assert float(countseg.count_mse_loss(predicted, counts)) == pytest.approx(mse, rel=1e-9)
    assert rank > 0
    assert float(countseg.rank_loss(predicted, counts)) == pytest.approx(rank, rel=1e-9)


def test_only_kept_negatives_count(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    _, density, counts = maps
    kept = torch.ones(3, 4, dtype=torch.bool)
    kept[1, 0] = kept[1, 3] = kept[2] = False  # of picture 1 class 1 is left; present ones stay
    alone = countseg.spatial_negative_loss(density[1:2, 1:2], counts[1:2, 1:2])
    first = countseg.spatial_negative_loss(density[:1], counts[:1])
    found = countseg.spatial_negative_loss(density, counts, kept)
    assert float(found) == pytest.approx((float(alone) + float(first)) / 3, rel=1e-9)
    predicted = density.sum(dim=(2, 3))
    parts = [
        countseg.count_mse_loss(predicted[:1], counts[:1]),
        countseg.count_mse_loss(predicted[1:2, 1:2], counts[1:2, 1:2]),
        countseg.count_mse_loss(predicted[2:], counts[2:]),
    ]
    mean = sum(float(one) for one in parts) / 3
    assert float(countseg.count_mse_loss(predicted, counts, kept)) == pytest.approx(mean, rel=1e-9)


def test_five_is_all_that_is_known_of_five_hundred(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    category, density, counts = maps
    mask = countseg.peak_mask(category, counts)
    predicted = density.sum(dim=(2, 3))

    def all_of_them(t: Tensor) -> list[float]:
        return [
            float(countseg.class_loss(countseg.class_scores(category), t)),
            float(countseg.peak_mask(category, t).sum()),
            float(countseg.spatial_positive_loss(density, mask, t)),
            float(countseg.spatial_negative_loss(density, t)),
            float(countseg.count_mse_loss(predicted, t)),
            float(countseg.rank_loss(predicted, t)),
        ]

    five = torch.where(counts > 4, 5, counts)
    hundreds = torch.where(counts > 4, 500, counts)
    assert all_of_them(five) == all_of_them(hundreds)
    assert all_of_them(five) != all_of_them(torch.where(counts > 4, 4, counts))


def test_gradients(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    category, density, counts = maps
    mask = countseg.peak_mask(category, counts)

    def total(scores: Tensor, maps: Tensor) -> Tensor:
        predicted = maps.sum(dim=(2, 3))
        return (
            countseg.class_loss(countseg.class_scores(scores), counts)
            + countseg.spatial_positive_loss(maps, mask, counts)
            + countseg.spatial_negative_loss(maps, counts)
            + countseg.count_mse_loss(predicted, counts)
            + countseg.rank_loss(predicted, counts)
        )

    inputs = (category.requires_grad_(), density.requires_grad_())
    assert torch.autograd.gradcheck(total, inputs)


def test_the_positive_loss_moves_peaks_alone(maps: tuple[Tensor, Tensor, Tensor]) -> None:
    """Eq. 8."""
    category, density, counts = maps
    mask = countseg.peak_mask(category, counts)
    density.requires_grad_()
    countseg.spatial_positive_loss(density, mask, counts).backward()
    assert density.grad is not None
    assert torch.equal(density.grad != 0, mask > 0)


def test_empty_truth_is_finite() -> None:
    density = torch.zeros(2, 3, 4, 4, requires_grad=True)
    counts = torch.zeros(2, 3, dtype=torch.int64)
    mask = countseg.peak_mask(density, counts)
    losses = [
        countseg.spatial_positive_loss(density, mask, counts),
        countseg.spatial_negative_loss(density, counts),
        countseg.count_mse_loss(density.sum(dim=(2, 3)), counts),
        countseg.rank_loss(density.sum(dim=(2, 3)), counts),
    ]
    torch.stack(losses).sum().backward()
    assert [float(one) for one in losses] == pytest.approx([0, math.log(2), 0, 0])
    assert density.grad is not None
    assert torch.isfinite(density.grad).all()


def test_counts_must_be_whole() -> None:
    with pytest.raises(TypeError, match=r"integer dtype, got torch\.float32"):
        countseg.lower_counts(torch.ones(1, 2))
    with pytest.raises(ValueError, match="negative"):
        countseg.lower_counts(torch.tensor([[-1]]))
