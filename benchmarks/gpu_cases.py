"""The operators as a GPU is asked for them: inputs, the call, the floor and a rival in plain torch.

The calls are those behind the public functions, without their checks on the host, so that a CUDA
graph can hold them. The rivals are what one would write in torch for the same result; they are
measured compiled. Nothing here needs a GPU: tests/test_gpu_check.py holds every call against its
rival on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import fastcount.ops  # noqa: F401  # defines torch.ops.fastcount
from fastcount.ops import reference

native = torch.ops.fastcount


@dataclass(frozen=True)
class Scale:
    """How large: ``batch`` square maps, ``points`` on each; ``crowd`` points of one picture."""

    batch: int
    side: int
    points: int
    crowd: int
    device: str = "cuda"


@dataclass(frozen=True)
class Case:
    """One operator's call.

    ``floor``: bytes that must be read and written once; None where memory is not the limit.
    ``rival`` takes the same inputs and gives the first tensor of the call's result.
    """

    name: str
    inputs: Callable[[int], tuple[Tensor, ...]]  # from a seed
    call: Callable[..., Any]
    floor: int | None
    rival: Callable[..., Tensor] | None = None


def cases(scale: Scale) -> list[Case]:
    return [*_targets(scale), *_peaks(scale), *_losses(scale)]


def tensors(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


class _Inputs:
    def __init__(self, scale: Scale) -> None:
        self.scale = scale

    def random(self, seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        device = self.scale.device
        generator = torch.Generator(device).manual_seed(seed)
        return torch.rand(*shape, generator=generator, device=device, dtype=dtype)

    def maps(self, seed: int) -> tuple[Tensor, ...]:
        return (self.random(seed, self.scale.batch, 1, self.scale.side, self.scale.side),)

    def two_maps(self, seed: int) -> tuple[Tensor, ...]:
        return (*self.maps(seed), *self.maps(seed + 100))

    def whole_points(self, seed: int) -> tuple[Tensor, ...]:
        """On whole pixels, where a filtered image of dots is exact."""
        unit = self.random(seed, self.scale.batch * self.scale.points, 2, dtype=torch.float64)
        return ((unit * (self.scale.side - 1)).round(),)

    def crowd(self, seed: int) -> tuple[Tensor, ...]:
        return (self.random(seed, self.scale.crowd, 2, dtype=torch.float64) * 4000.0,)


def _targets(scale: Scale) -> list[Case]:
    make = _Inputs(scale)
    batch, side, points, crowd = scale.batch, scale.side, scale.points, scale.crowd
    pixels = batch * side * side
    counts = [points] * batch
    sigma = torch.full((batch * points,), 5.0, device=scale.device, dtype=torch.float64)

    def density(stride: int) -> Callable[[Tensor], Any]:
        return lambda xy: native.density_pyramid(
            xy, sigma, counts, side, side, [stride], 3.0, False, torch.float32
        )

    span = torch.arange(-15, 16, device=scale.device)
    bell = torch.exp(-(span[:, None] ** 2 + span**2) / 50.0)
    bell /= bell.sum()
    picture = torch.arange(batch, device=scale.device).repeat_interleave(points)

    def places(xy: Tensor) -> Tensor:
        x, y = xy.long().unbind(1)
        return (picture * side + y) * side + x

    reach = span[9:22]
    hill = torch.exp(-(reach[:, None] ** 2 + reach**2) / 8.0)

    def windows(xy: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Where the pixels of each point's window lie in the maps, and their values: 0 beyond."""
        x, y = xy.long().unbind(1)
        beside = torch.arange(len(window), device=xy.device) - len(window) // 2
        down, across = y[:, None, None] + beside[:, None], x[:, None, None] + beside
        on_map = (down >= 0) & (down < side) & (across >= 0) & (across < side)
        there = (picture[:, None, None] * side + down) * side + across
        there = torch.where(on_map, there, 0).flatten()
        return there, torch.where(on_map, window, 0.0).flatten()

    def added(xy: Tensor) -> Tensor:
        """Each point's window, written by a scatter that adds."""
        drawn = torch.zeros(pixels, device=xy.device).index_add(0, *windows(xy, bell))
        return drawn.view(batch, 1, side, side)

    def hills(xy: Tensor) -> Tensor:
        """Each point's window, written by a scatter of the greatest."""
        drawn = torch.zeros(pixels, device=xy.device)
        return drawn.scatter_reduce(0, *windows(xy, hill), "amax").view(batch, 1, side, side)

    def crosses(xy: Tensor) -> Tensor:
        dots = torch.zeros(pixels, device=xy.device)
        dots[places(xy)] = 1.0
        dots = F.pad(dots.view(batch, 1, side, side), (1, 1, 1, 1))
        inner = slice(1, -1)
        return dots[..., inner, inner].maximum(
            torch.maximum(dots[..., inner, :-2], dots[..., inner, 2:]).maximum(
                torch.maximum(dots[..., :-2, inner], dots[..., 2:, inner])
            )
        )

    def nearest(xy: Tensor) -> Tensor:
        nearest_five = torch.cdist(xy, xy).topk(5, largest=False).values
        return nearest_five[:, 1:].mean(1)

    return [
        Case("density_map, stride 1", make.whole_points, density(1), 4 * pixels, added),
        Case(
            "density_map, stride 8",
            make.whole_points,
            density(8),
            4 * pixels // 64,
            lambda xy: 64 * F.avg_pool2d(added(xy), 8),
        ),
        Case(
            "gaussian_heatmap, sigma 2",
            make.whole_points,
            lambda xy: native.gaussian_heatmap(
                *(xy, sigma * 0.4, None, counts, side, side, 1, 1),
                *(3.0, False, True, torch.float32),
            ),
            4 * pixels,
            hills,
        ),
        Case(
            "cross_label",
            make.whole_points,
            lambda xy: native.cross_label(xy, counts, side, side),
            4 * pixels,
            crosses,
        ),
        Case(
            "neighbour_distance_map",
            make.whole_points,
            lambda xy: native.neighbour_distance_map(xy, counts, side, side, 3, 1, torch.float32),
            4 * pixels,
        ),
        Case(
            f"knn_distance, {crowd:,} points",
            make.crowd,
            lambda xy: native.knn_distance(xy, [crowd], 4),
            None,
            nearest,
        ),
    ]


def _peaks(scale: Scale) -> list[Case]:
    make = _Inputs(scale)
    pixels = scale.batch * scale.side * scale.side
    most = torch.full((32, 20), 3, device=scale.device)

    def neighbours(maps: Tensor) -> Tensor:
        around = F.pad(maps, (1, 1, 1, 1), value=-torch.inf)
        down, right = maps.shape[2:]
        greatest = torch.full_like(maps, -torch.inf)
        for y in range(3):
            for x in range(3):
                if (y, x) != (1, 1):
                    greatest = greatest.maximum(around[..., y : y + down, x : x + right])
        return torch.where(maps > greatest, maps, 0.0)

    def scores_first(peaks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        points, scores, valid = peaks
        return scores, points, valid

    def pooled(maps: Tensor, threshold: float) -> Tensor:
        """Scores alone: of equal ones topk may take any."""
        peak = (F.max_pool2d(maps, 3, 1, 1) == maps) & (maps >= threshold)
        slots = min(1000, maps[0, 0].numel())
        return torch.where(peak, maps, 0.0).flatten(2).topk(slots).values

    def highest(maps: Tensor) -> Tensor:
        third = maps.flatten(2).sort(descending=True).values[..., 2, None, None]
        return (maps >= third).float()

    return [
        Case(
            "find_peaks_padded, 3 x 3",
            make.maps,
            lambda maps: scores_first(native.find_peaks_padded(maps, 3, 0.999, False, 1000)),
            4 * pixels,
            lambda maps: pooled(maps, 0.999),
        ),
        Case(
            "find_peaks_padded, 3 x 3, every pixel above the threshold",
            make.maps,
            lambda maps: scores_first(native.find_peaks_padded(maps, 3, 0.0, False, 1000)),
            4 * pixels,
            lambda maps: pooled(maps, 0.0),
        ),
        Case(
            "peak_map",
            make.maps,
            lambda maps: native.peak_map(maps, maps, 1),
            8 * pixels,
            neighbours,
        ),
        Case(
            "top_peaks_mask, 32 x 20 maps of 14 x 14",
            lambda seed: (make.random(seed, 32, 20, 14, 14),),
            lambda maps: native.top_peaks_mask(maps, most),
            8 * 32 * 20 * 14 * 14,
            highest,
        ),
    ]


def _losses(scale: Scale) -> list[Case]:
    make = _Inputs(scale)
    pixels = scale.batch * scale.side * scale.side
    one = torch.ones((), device=scale.device)

    def soft_backward(maps: Tensor, grad: Tensor) -> Tensor:
        leaf = maps.detach().requires_grad_()
        return torch.autograd.grad(reference.soft_count(leaf)[0], leaf, grad)[0]

    def smooth_backward(pred: Tensor, target: Tensor) -> Tensor:
        weights = torch.where(target > 0, 0.9, 0.1)
        return (pred - target).clamp(-1, 1) * weights

    return [
        Case(
            "spatial_softmax",
            make.maps,
            lambda maps: native.spatial_softmax(maps, 3, 100.0),
            8 * pixels,
            reference.spatial_softmax,
        ),
        Case(
            "soft_count",
            make.maps,
            lambda maps: native.soft_count(maps, 3, 100.0, 15.0, 0.8),
            8 * pixels,
            lambda maps: reference.soft_count(maps)[0],
        ),
        Case(
            "soft_count, backward",
            make.two_maps,
            lambda maps, grad: native.soft_count_backward(grad, None, maps, 3, 100.0, 15.0, 0.8),
            12 * pixels,
            soft_backward,
        ),
        Case(
            "mask_focal_loss",
            make.two_maps,
            lambda pred, target: native.focal_loss(
                *(pred, target, None, 2, 0, False, 1.0, 0.5, 4.0, 1e-6, None, True, False)
            ),
            8 * pixels,
            reference.mask_focal_loss,
        ),
        Case(
            "focal losses, backward",
            make.maps,
            lambda slopes: native.focal_loss_backward(one, slopes, one, torch.float32),
            8 * pixels,
            lambda slopes: slopes * (one * one),
        ),
        Case(
            "weighted_smooth_l1",
            make.two_maps,
            lambda pred, target: native.weighted_smooth_l1(pred, target, 0.1, True),
            8 * pixels,
            reference.weighted_smooth_l1,
        ),
        Case(
            "weighted_smooth_l1, backward",
            make.two_maps,
            lambda pred, target: native.weighted_smooth_l1_backward(one, pred, target, 0.1),
            12 * pixels,
            smooth_backward,
        ),
    ]
