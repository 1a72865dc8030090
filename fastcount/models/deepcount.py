"""DeepCount: deep density-aware count regressor (Chen, 2019).

A backbone regresses the count itself; five branches, each with its own chain of transposed
convolutions, draw density maps of five resolutions in training and so feed gradients to the
backbone at every depth. They are taken off for inference, all or all but one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastcount.counting import Counting
from fastcount.losses.precision import at_least_float32
from fastcount.models.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    CountingModel,
    Normalize,
    Target,
)
from fastcount.models.parts.vgg_frontend import VGGFrontEnd, scaled
from fastcount.models.parts.whole_picture import true_counts
from fastcount.models.registry import register
from fastcount.ops import density_pyramid
from fastcount.runtime.tiling import Tiling

SIZE = (384, 512)
BRANCHES = (1, 2, 3, 4, 5)
_SLOPE = 0.2  # eq. 4's alpha
_OMEGA = 1e-2
_BETA = 16.0
# Kernel of the targets: (sigma in pixels, truncated at so many sigma). The public code's 49x49.
_KERNELS = {"paper": (5.0, 3.0), "public": (10.0, 2.4)}


def branch_stride(branch: int) -> int:
    """Pixels a cell of ``branch``: 8 for branch 1 to 128 for branch 5."""
    return 8 << (branch - 1)


@dataclass(frozen=True)
class DeepCountOutput:
    """``count``: (B,) objects in each picture, from the regressor at the backbone's end.

    ``densities``: by branch number the map (B, 1, h, w) of objects a cell of
    :func:`branch_stride` pixels: 1 is 48 x 64, 5 is 3 x 4. Empty where no branch is attached.
    """

    count: Tensor
    densities: dict[int, Tensor]


def _conv(before: int, after: int, kernel: int | tuple[int, int], **options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, kernel, **options), nn.LeakyReLU(_SLOPE))


def _up(before: int, after: int, kernel: int | tuple[int, int], **options: Any) -> nn.Module:
    up = nn.ConvTranspose2d(before, after, kernel, **options)
    return nn.Sequential(up, nn.LeakyReLU(_SLOPE))


class _Branch(nn.Module):
    """Table 1, one column: up from the 1x1 vector, the backbone's map appended at each size."""

    def __init__(self, levels: int, width: float) -> None:
        super().__init__()
        narrow = scaled(256, width)
        joined = 2 * narrow  # after the depth concatenation
        self.up = nn.ModuleList([_up(scaled(1024, width), narrow, (3, 4))])
        self.up.extend(_up(joined, narrow, 4, stride=2, padding=1) for _ in range(levels - 1))
        self.density = _conv(joined, 1, 1)

    def forward(self, vector: Tensor, maps: list[Tensor]) -> Tensor:
        x = vector
        for up, features in zip(self.up, reversed(maps), strict=False):
            x = torch.cat([up(x), features], dim=1)
        density: Tensor = self.density(x)
        return density


@register("deepcount")
class DeepCount(CountingModel):
    """The DeepCount network, Table 1.

    ``branches``: which of the five branches are attached, 1 (48 x 64) to 5 (3 x 4); all for
    training, none to count, one to count and draw. ``loss``: ``"paper"`` for eq. 3 as printed,
    ``"public"`` for the reading of its authors' code, see :meth:`loss`. ``tiles``: how a picture
    becomes tiles of 384 x 512: ``"divide"`` cuts it as it is, as in the paper, ``"grid"`` resizes
    it first so that whole tiles fit, as in the public code. ``width`` multiplies
    every channel count. ``weights="imagenet"`` starts the front end from torchvision's ImageNet
    weights, as the paper does. The rest starts from Xavier's initialisation and zero bias.

    Loads the state of a model with more branches than it has itself: theirs are passed over.

    ``forward``: (B, 3, 384, 512) RGB in [0, 1] to :class:`DeepCountOutput`; raises
    ``ValueError`` for any other size. Larger pictures are counted in tiles.

    ``lambda/2 * |theta|^2`` of eq. 3 is the optimiser's weight decay: ``SGD(weight_decay=1e-5,
    momentum=0.9, lr=1e-4)``, with half that rate for ``backbone`` (VGG's front end).
    """

    scales_with_last_layers = True

    def __init__(
        self,
        *,
        branches: Sequence[int] = BRANCHES,
        loss: Literal["paper", "public"] = "paper",
        tiles: Literal["divide", "grid"] = "divide",
        width: float = 1.0,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if not set(branches) <= set(BRANCHES) or len(set(branches)) < len(branches):
            raise ValueError(f"branches: need different numbers of 1 to 5, got {branches!r}")
        if loss not in _KERNELS:
            raise ValueError(f"loss: need one of {', '.join(_KERNELS)}, got {loss!r}")
        if tiles not in ("divide", "grid"):
            raise ValueError(f"tiles: need divide or grid, got {tiles!r}")
        self.tiling = Tiling(mode=tiles, tile=SIZE, margin=0, align=1)
        self.loss_form = loss
        narrow, wide, vector = (scaled(c, width) for c in (256, 512, 1024))
        self.normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
        self.backbone = VGGFrontEnd(width=width, weights=weights)
        # Table 1, layers 2 to 10: at each size one convolution that the branches see, and
        # between sizes one that halves.
        self.levels = nn.ModuleList(_conv(wide, narrow, 3, padding=1) for _ in BRANCHES)
        self.halve = nn.ModuleList(
            _conv(narrow, wide, 3, stride=2, padding=1) for _ in BRANCHES[1:]
        )
        self.vector = _conv(narrow, vector, (3, 4))
        self.count = nn.Linear(vector, 1)
        self.branches = nn.ModuleDict(
            {str(k): _Branch(len(BRANCHES) + 1 - k, width) for k in sorted(branches)}
        )
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                if name.startswith("backbone."):
                    continue
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        self.register_load_state_dict_pre_hook(_pass_over_detached)  # type: ignore[no-untyped-call]

    def detach_branches(self, keep: int | None = None) -> DeepCount:
        """Takes off all branches, or all but ``keep`` (1 to 5), for good; returns the model.

        Raises ``ValueError`` where ``keep`` is not attached.
        """
        if keep is not None and str(keep) not in self.branches:
            raise ValueError(
                f"keep: branch {keep!r} is not attached; attached are "
                f"{', '.join(self.branches) or 'none'}"
            )
        for branch in list(self.branches):
            if branch != str(keep):
                del self.branches[branch]
        self.config = {**self.config, "branches": [] if keep is None else [keep]}
        return self

    def forward(self, images: Tensor) -> DeepCountOutput:
        if images.shape[-2:] != SIZE:
            raise ValueError(
                f"images: DeepCount takes {SIZE[0]}x{SIZE[1]} (height x width), got "
                f"{images.shape[-2]}x{images.shape[-1]}; count pictures of other sizes in tiles, "
                "as a fastcount.load(...) counter does"
            )
        x = self.backbone(self.normalize(images))
        maps = [self.levels[0](x)]
        for halve, level in zip(self.halve, self.levels[1:], strict=True):
            maps.append(level(halve(maps[-1])))
        vector = self.vector(maps[-1])
        count = self.count(vector.flatten(1)).squeeze(1)
        densities = {int(k): branch(vector, maps) for k, branch in self.branches.items()}
        return DeepCountOutput(count, densities)

    def loss(self, output: DeepCountOutput, targets: list[Target]) -> dict[str, Tensor]:
        """Absolute errors of the count and of every attached branch's map, summed over cells.

        ``"paper"``, eq. 3: omega / (2N) * (sum |map - truth| + beta * |count - truth|) over N
        pictures, omega 1e-2, beta 16, targets of sigma 5 (its last term is weight decay).
        ``"public"``: (sum |map - truth| + 16 * |count - truth|) / 100 over the batch, not divided
        by 2N, targets of sigma 10 in a window of 49 x 49.

        Returns ``loss`` and its summands ``count`` and ``branch_1`` to ``branch_5``.
        """
        counts = true_counts(targets, output.count)
        factor = _OMEGA / (2 * len(targets)) if self.loss_form == "paper" else 0.01
        device = output.count.device
        parts = {"count": factor * _BETA * _distance(output.count, counts)}
        if output.densities:
            sigma, truncate = _KERNELS[self.loss_form]
            with torch.no_grad():
                truth = density_pyramid(
                    [target["points"].to(device, torch.float32) for target in targets],
                    SIZE,
                    sigma=sigma,
                    strides=tuple(branch_stride(k) for k in output.densities),
                    truncate=truncate,
                )
            for (k, density), one in zip(output.densities.items(), truth, strict=True):
                parts[f"branch_{k}"] = factor * _distance(density, one)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def decode(self, output: DeepCountOutput) -> list[Counting]:
        """The regressor's count, with the finest attached branch's map where there is one."""
        counts = output.count.detach().float().cpu().tolist()
        if not output.densities:
            return [Counting(count=count, size=SIZE) for count in counts]
        finest = min(output.densities)
        maps = output.densities[finest].detach().float().cpu().numpy()
        return [
            Counting(count=count, size=SIZE, density=one[0], stride=branch_stride(finest))
            for count, one in zip(counts, maps, strict=True)
        ]


def _distance(prediction: Tensor, truth: Tensor) -> Tensor:
    """Sum of absolute differences, in float32 at least."""
    return (at_least_float32(prediction) - truth).abs().sum()


def _pass_over_detached(
    model: nn.Module, state: dict[str, Any], prefix: str, *unused: object
) -> None:
    """Drops the entries of branches that ``model`` does not have from a state being loaded."""
    assert isinstance(model, DeepCount)
    start = f"{prefix}branches."
    missing = {str(k) for k in BRANCHES} - set(model.branches)
    for key in [key for key in state if key.startswith(start)]:
        if key[len(start) :].split(".", 1)[0] in missing:
            del state[key]
