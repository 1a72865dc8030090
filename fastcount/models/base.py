"""What every counting model has in common: typed input, typed output, loss and decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from fastcount.class_names import UNNAMED
from fastcount.counting import Counting
from fastcount.models.neighbour_sigma import NeighbourSigma
from fastcount.runtime.tiling import Tiling


class Target(TypedDict):
    """The truth of one picture. Coordinates are pixel indices, see the package's conventions.

    ``points``: (N, 2) x, y; may lie outside the picture, then they count but do not draw.
    ``count``: the number of objects; equals ``len(points)`` where points are known.
    """

    count: float
    points: NotRequired[Tensor]  # (N, 2)
    boxes: NotRequired[Tensor]  # (N, 4) x1, y1, x2, y2
    labels: NotRequired[Tensor]  # (N,) int64
    sigma: NotRequired[Tensor]  # (N,) width in pixels of each point's kernel


@dataclass(frozen=True)
class DensityOutput:
    """A density map: every cell holds the number of objects whose centre lies in it.

    ``density``: (B, 1, H / stride, W / stride), sides rounded up, >= 0 up to the model's own
    error. ``size``: (H, W) of the pictures in pixels; by default that of whole cells.
    """

    density: Tensor
    stride: int
    size: tuple[int, int] | None = None

    @property
    def picture_size(self) -> tuple[int, int]:
        """(H, W) of the pictures in pixels."""
        height, width = self.density.shape[-2:]
        return self.size or (height * self.stride, width * self.stride)

    @property
    def count(self) -> Tensor:
        """(B,) objects in each picture: the sum of its map, in float32."""
        return self.density.sum(dim=(1, 2, 3), dtype=torch.float32)


class CountingModel(nn.Module, ABC):
    """A network that counts.

    ``forward`` takes (B, 3, H, W) floating-point RGB in [0, 1] and normalises it itself, so that
    a model's file holds all that the model needs. ``tiling`` says how a picture of any size is
    cut for it. ``config`` holds the arguments that build it again from its name. ``kernels``: how
    wide those of its target are where neighbours decide; training looks for them before it crops.
    ``scales_with_last_layers``: whether a factor on what its last layers give is a factor on the
    count; an 8-bit export makes up by one for what rounding adds to or takes from the count.
    """

    name: ClassVar[str]
    tiling: Tiling
    kernels: NeighbourSigma | None = None
    scales_with_last_layers: ClassVar[bool] = False
    config: dict[str, Any]
    card: dict[str, Any]  # what the checkpoint says of the model; empty where it came from none
    classes: tuple[str, ...] = UNNAMED

    def __init__(self) -> None:
        super().__init__()
        self.card = {}

    @abstractmethod
    def forward(self, images: Tensor) -> Any:
        """(B, 3, H, W) in [0, 1] to the model's typed output."""

    @abstractmethod
    def loss(self, output: Any, targets: list[Target]) -> dict[str, Tensor]:
        """Scalars by name; ``"loss"`` is the one to minimise, the rest are its parts."""

    @abstractmethod
    def decode(self, output: Any) -> list[Counting]:
        """One :class:`fastcount.Counting` a picture."""

    def scale_counts(self, factor: float) -> None:
        """Multiplies all counts by ``factor`` > 0, in the weights themselves.

        Raises ``ValueError`` where the model has no layer that allows it.
        """
        raise ValueError(f"calibrate: {self.name} cannot scale its counts; leave it out")

    def scale_std(self, factor: float) -> None:
        """Multiplies all standard deviations by ``factor`` > 0, in the weights themselves.

        Raises ``ValueError`` where the model has learned none.
        """
        raise ValueError(f"scale_std: {self.name} has no standard deviation to scale")


def require_multiples(images: Tensor, align: int) -> None:
    """Raises ``ValueError`` unless both sides of ``images`` are multiples of ``align``."""
    height, width = images.shape[-2:]
    if height % align or width % align:
        raise ValueError(
            f"images: sides must be multiples of {align}, got {height}x{width}; "
            "pad the picture or count it with fastcount.load"
        )


def require_one_each(targets: list[Target], batch: Tensor) -> None:
    """Raises ``ValueError`` unless there is a target for each picture of ``batch`` (B, ...)."""
    if len(targets) != len(batch):
        raise ValueError(
            f"targets: {len(targets)} for a batch of {len(batch)} pictures; need one each"
        )


def decode_density(output: DensityOutput) -> list[Counting]:
    """One :class:`Counting` a picture from a batch of density maps."""
    maps = output.density.detach().float().cpu()
    return [
        Counting(
            count=float(one.sum()),
            size=output.picture_size,
            density=one[0].numpy(),
            stride=output.stride,
        )
        for one in maps
    ]


class Normalize(nn.Module):
    """(image - mean) / std per channel, as part of the model. Ranges: image in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
