"""Points that torchvision's transforms move by the pixel-index convention.

torchvision moves ``KeyPoints`` by two conventions at once: flips take x to W - 1 - x, which is
right for pixel indices (centre of the top-left pixel at (0, 0)), while resize, rotate, affine and
perspective work in edge coordinates (its corner at (0, 0)), which puts a pixel index half a pixel
off times the change of scale. Elastic moves snap to whole pixels. The subclass below keeps the
former and mends the latter, so that any ``v2`` transform moves a dot with the thing it marks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


class PixelPoints(tv_tensors.KeyPoints):  # type: ignore[misc]  # torchvision has no types
    """(..., N, 2) x, y in pixel indices of a picture of ``canvas_size`` (H, W).

    Never clamped: points outside the picture stay what they are.
    """

    @classmethod
    def _wrap_output(
        cls, output: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        # torchvision's own gives back its KeyPoints, and clone() or deepcopy() would lose the mend
        output = super()._wrap_output(output, args, kwargs)
        if isinstance(output, tv_tensors.KeyPoints) and not isinstance(output, cls):
            size = output.canvas_size
            output = cls._wrap(output.as_subclass(Tensor), canvas_size=size, check_dims=False)
        return output


def _mend(name: str) -> None:
    """Registers torchvision's own kernel, run in edge coordinates, for :class:`PixelPoints`."""
    functional = getattr(v2.functional, name)

    def kernel(points: PixelPoints, *args: Any, **kwargs: Any) -> Tensor:
        edges = tv_tensors.KeyPoints(
            points.as_subclass(Tensor) + 0.5, canvas_size=points.canvas_size
        )
        moved = functional(edges, *args, **kwargs)
        wrapped: Tensor = tv_tensors.wrap(
            moved.as_subclass(Tensor) - 0.5, like=points, canvas_size=moved.canvas_size
        )
        return wrapped

    v2.functional.register_kernel(functional, PixelPoints)(kernel)


for _name in ("resize", "resized_crop", "affine", "perspective"):
    _mend(_name)


@v2.functional.register_kernel("rotate", PixelPoints)  # type: ignore[untyped-decorator]
def _rotate(
    points: PixelPoints,
    angle: float,
    interpolation: Any = v2.InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Tensor:
    """Turns by ``angle`` degrees against the clock about ``center`` (edge coordinates).

    Written out, since with ``expand`` torchvision's kernel for points and its kernel for
    pictures disagree by up to a pixel, in size and in place: the picture keeps its middle.
    """
    height, width = points.canvas_size
    if expand:  # ask the kernel for pictures, on a device that holds no pixels
        blank = torch.empty((1, height, width), device="meta")
        turned = v2.functional.rotate(blank, angle, expand=True, center=center)
        size = (turned.shape[-2], turned.shape[-1])
    else:
        size = (height, width)
    plain = points.as_subclass(Tensor)
    pivot = center if center is not None else (width / 2, height / 2)
    dx, dy = plain[..., 0] + 0.5 - pivot[0], plain[..., 1] + 0.5 - pivot[1]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x = pivot[0] + cos * dx + sin * dy + (size[1] - width) / 2 - 0.5
    y = pivot[1] - sin * dx + cos * dy + (size[0] - height) / 2 - 0.5
    moved: Tensor = tv_tensors.wrap(torch.stack([x, y], dim=-1), like=points, canvas_size=size)
    return moved


@v2.functional.register_kernel("elastic", PixelPoints)  # type: ignore[untyped-decorator]
def _elastic(points: PixelPoints, displacement: Tensor, **_: Any) -> Tensor:
    """Moves each point against the displacement (1, H, W, 2) of the pixel it is nearest to.

    The picture takes its pixel p from p + d(p), d in units of half a picture; so what is at q
    moves to about q - d(q). Exact where d varies slowly.
    """
    plain = points.as_subclass(Tensor)
    if not plain.is_floating_point():  # as torchvision's kernels have it
        plain = plain.float()
    height, width = points.canvas_size
    nearest = plain.round().long()
    column = nearest[..., 0].clamp(0, width - 1)
    row = nearest[..., 1].clamp(0, height - 1)
    half = torch.tensor([width / 2, height / 2], dtype=plain.dtype, device=plain.device)
    shift = displacement[0, row, column].to(plain) * half
    moved: Tensor = tv_tensors.wrap(plain - shift, like=points)
    return moved
