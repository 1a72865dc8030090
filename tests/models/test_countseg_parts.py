"""Peak back-propagation, mask proposals and eq. 9, each against a plain rendering of its words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastcount.models.parts.mask_proposals import propose_masks
from fastcount.models.parts.mask_scoring import score_proposals, without_doubles
from fastcount.models.parts.peak_response import peak_responses
from fastcount.ops.find_peaks import Peaks


def _peaks(*places: tuple[int, int, int, int]) -> Peaks:
    """Of (batch, channel, y, x), sorted by batch."""
    table = torch.tensor(places).reshape(-1, 4)
    points = table[:, [3, 2]].float()
    return Peaks(points, torch.ones(len(places)), table[:, 0], table[:, 1])


def _network() -> nn.Sequential:
    torch.manual_seed(1)
    layers: list[nn.Module] = [
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(16, 2, 1),
    ]
    network = nn.Sequential(*layers)
    with torch.no_grad():
        network[1].running_mean.uniform_(-0.2, 0.2)
        network[1].running_var.uniform_(0.5, 2)
    return network.eval().double()


PLACES = ((0, 0, 1, 2), (0, 1, 3, 3), (0, 0, 2, 0), (2, 1, 0, 1), (2, 0, 3, 2))


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_all_peaks_at_once_are_each_alone(slots: int) -> None:
    network, images = _network(), torch.rand(3, 3, 16, 16).double() - 0.3
    together = peak_responses(network, network, images, _peaks(*PLACES), slots=slots)
    assert together.shape == (5, 16, 16)
    for place, response in zip(PLACES, together, strict=True):
        picture = images[place[0] : place[0] + 1]
        (alone,) = peak_responses(network, network, picture, _peaks((0, *place[1:])))
        torch.testing.assert_close(response, alone)
    # some may end at ReLUs that are shut, and no two are alike
    alive = together[together.sum(dim=(1, 2)) > 0]
    assert len(alive) >= 3
    assert len(torch.unique(alive, dim=0)) == len(alive)


def _step(layer: nn.Conv2d, x: Tensor, arriving: Tensor) -> Tensor:
    """P(u) = sum over v of P(v) a_u W+_uv / sum_u' a_u' W+_u'v, entry by entry; (C, H, W)."""
    activation = x - min(0.0, float(x.min()))
    leaving = torch.zeros_like(x)
    k, stride, pad = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
    for o, v, u in arriving.nonzero().tolist():
        terms = {}
        for c in range(x.shape[0]):
            for i in range(k):
                for j in range(k):
                    y, z = v * stride - pad + i, u * stride - pad + j
                    if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                        weight = max(0.0, float(layer.weight[o, c, i, j]))
                        terms[c, y, z] = float(activation[c, y, z]) * weight
        norm = sum(terms.values())
        for (c, y, z), term in terms.items():
            if norm > 0:
                leaving[c, y, z] += float(arriving[o, v, u]) * term / norm
    return leaving


def test_a_step_is_the_walkers() -> None:
    torch.manual_seed(3)
    first, second = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 2, 3, padding=1)
    network = nn.Sequential(first, nn.ReLU(), second).eval().double()
    images = torch.randn(1, 3, 9, 9).double()
    (response,) = peak_responses(network, network, images, _peaks((0, 1, 2, 3)))
    with torch.no_grad():
        hidden = first(images).relu()[0]
        start = torch.zeros(2, 5, 5, dtype=torch.float64)
        start[1, 2, 3] = 1
        middle = _step(second, hidden, start) * (hidden > 0)
        expected = _step(first, images[0], middle).sum(dim=0)
    torch.testing.assert_close(response, expected)
    # nothing is lost on the way: it is a probability
    assert float(response.sum()) == pytest.approx(1.0)


def test_the_networks_own_values_and_gradients_stay() -> None:
    network, images = _network(), torch.rand(2, 3, 16, 16).double()
    before = network(images)
    seen: list[Tensor] = []

    def maps(x: Tensor) -> Tensor:
        seen.append(network(x))
        return seen[0]

    with torch.inference_mode():
        peak_responses(network, maps, images, _peaks((1, 0, 1, 1)))
    torch.testing.assert_close(seen[0], before)
    assert all(not module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    none = peak_responses(network, network, images, _peaks())
    assert none.shape == (0, 16, 16)
    with pytest.raises(ValueError, match=r"network\.eval"):
        peak_responses(network.train(), network, images, _peaks())


def _two_discs() -> tuple[np.ndarray, np.ndarray]:
    """A red disc of a bright and a dark half, and a blue one, on grey; their masks (3, H, W)."""
    y, x = np.mgrid[:48, :64]
    left, right = (y - 24) ** 2 + (x - 16) ** 2 < 120, (y - 20) ** 2 + (x - 46) ** 2 < 150
    image = np.full((48, 64, 3), 128, np.uint8)
    image[left & (x < 16)], image[left & (x >= 16)] = (250, 20, 20), (170, 20, 20)
    image[right] = (20, 20, 250)
    return image, np.stack([left, right, left & (x < 16)])


def test_proposals_hold_the_objects_and_their_parts() -> None:
    image, truth = _two_discs()
    masks = propose_masks(image)
    assert masks.dtype == bool
    assert masks.shape[1:] == (48, 64)
    for one in truth:
        both, either = (masks & one).sum(axis=(1, 2)), (masks | one).sum(axis=(1, 2))
        assert (both / either).max() > 0.85
    area = masks.sum(axis=(1, 2))
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    assert area.max() <= 0.9 * 48 * 64
    assert len(propose_masks(image, limit=2)) == 2
    blank = propose_masks(np.full((20, 20, 3), 90, np.uint8))
    assert blank.shape == (0, 20, 20)  # all of the picture is no object
    with pytest.raises(ValueError, match=r"need \(H, W, 3\) uint8"):
        propose_masks(image[..., 0])


def test_scores_are_equation_9() -> None:
    generator = torch.Generator().manual_seed(4)
    responses = torch.rand(2, 20, 28, generator=generator)
    background = (torch.rand(2, 20, 28, generator=generator) > 0.5).float()
    density = torch.rand(2, 3, 4, generator=generator)  # 24 x 32 pixels, the picture within
    proposals = torch.rand(70, 20, 28, generator=generator) > 0.6  # more than are scored at once
    weights = {"alpha": 0.7, "beta": 0.4, "gamma": 0.2}
    found = score_proposals(responses, background, density, proposals, stride=8, **weights)
    assert found.shape == (2, 70)
    for k, n in ((0, 0), (1, 3), (1, 69)):
        mask = proposals[n]
        r = responses[k].double() / responses[k].double().sum()
        contour = torch.zeros(20, 28, dtype=torch.bool)
        count = 0.0
        for y in range(20):
            for x in range(28):
                near = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                contour[y, x] = bool(near.any()) != bool(near.all())
                count += float(mask[y, x]) * float(density[k, y // 8, x // 8]) / 64
        expected = 0.7 * r[mask].sum() + r[contour].sum()
        expected -= 0.4 * background[k][mask].mean() + 0.2 * abs(1 - count)
        assert float(found[k, n]) == pytest.approx(float(expected), abs=1e-5)
    none = score_proposals(responses, background, density, proposals[:0], stride=8)
    assert none.shape == (2, 0)


def test_doubles_go() -> None:
    masks = torch.zeros(4, 1, 20, dtype=torch.bool)
    for mask, stop in zip(masks, (10, 9, 9, 4), strict=True):
        mask[:, :stop] = True
    labels = torch.tensor([0, 0, 1, 0])
    kept = without_doubles(masks, torch.tensor([0.3, 0.8, 0.1, 0.2]), labels, 0.5)
    assert kept.tolist() == [1, 3, 2]
    assert without_doubles(masks[:0], torch.zeros(0), labels[:0], 0.5).tolist() == []
