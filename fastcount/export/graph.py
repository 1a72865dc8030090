"""A counting model as the graph that is exported: pixels of a file in, density and count out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fastcount.export.stand_ins import stand_ins
from fastcount.models.base import CountingModel, DensityOutput
from fastcount.models.deepcount import DeepCountOutput, branch_stride
from fastcount.runtime.description import Description, Precision

_MOST_AT_ONCE = 1024
_LONGEST_SIDE = 2**16


@dataclass(frozen=True)
class Outputs:
    """``count``: (B,) float32. ``density``: (B, 1, h, w) float32 of ``stride``, or both None."""

    count: Tensor
    density: Tensor | None = None
    stride: int | None = None


def outputs_of(output: object) -> Outputs:
    """What of a model's typed output is exported; the sum of a density is taken in float32.

    Raises ``ValueError`` for a type that has neither a density nor a count.
    """
    if isinstance(output, DensityOutput):
        density = output.density.float()
        return Outputs(density.sum(dim=(1, 2, 3)), density, output.stride)
    if isinstance(output, DeepCountOutput):
        count = output.count.float()
        if not output.densities:
            return Outputs(count)
        finest = min(output.densities)
        return Outputs(count, output.densities[finest].float(), branch_stride(finest))
    raise ValueError(
        f"model: cannot export a model whose output is {type(output).__name__}; "
        "those that give a density or a count can be"
    )


class CountingGraph(nn.Module):
    """``model`` with what comes before and after it.

    ``forward``: (B, H, W, 3) uint8 RGB to ``(count, density)``, or ``(count,)`` for a model
    without density; both float32. The pixels are scaled to [0, 1] in float32, then go through the
    model in its own precision.
    """

    def __init__(self, model: CountingModel) -> None:
        super().__init__()
        self.model = model
        self.dtype = next(model.parameters()).dtype

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        # Cast first: of 8-bit tensors TensorRT takes a network's input, and nothing computed.
        pixels = images.to(torch.float32).permute(0, 3, 1, 2) / 255
        outputs = outputs_of(self.model(pixels.to(self.dtype)))
        if outputs.density is None:
            return (outputs.count,)
        return outputs.count, outputs.density


def output_names(description: Description) -> list[str]:
    """The names of a graph's outputs, in order."""
    return ["count"] if description.stride is None else ["count", "density"]


def trace(graph: CountingGraph, description: Description) -> ExportedProgram:
    """The graph as a program for every input that ``description`` allows."""
    align = description.tiling.align
    # Sizes of 1 would be taken for constants.
    height, width = description.size or (2 * align, 3 * align)
    example = torch.zeros((description.batch or 2, height, width, 3), dtype=torch.uint8)
    free: dict[int, object] = {}
    if description.batch is None:
        free[0] = Dim("batch", min=1, max=_MOST_AT_ONCE)
    if description.size is None:
        most = _LONGEST_SIDE // align
        free[1] = align * Dim("rows", min=1, max=most)
        free[2] = align * Dim("columns", min=1, max=most)
    with torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes=(free,), strict=False)
    used = {node.target for node in program.graph.nodes}
    table = {name: made for name, made in stand_ins(graph.dtype).items() if name in used}
    return program.run_decompositions(table) if table else program


def stride_of(model: CountingModel, size: tuple[int, int] | None) -> int | None:
    """The stride of the density that ``model`` gives for inputs of ``size``; None without one."""
    height, width = size or (model.tiling.align, model.tiling.align)
    parameter = next(model.parameters())
    with torch.inference_mode():
        output = model(torch.zeros((1, 3, height, width), dtype=parameter.dtype))
    return outputs_of(output).stride


def describe(
    model: CountingModel,
    *,
    size: tuple[int, int] | None,
    batch: int | None,
    precision: Precision,
) -> Description:
    """What the exported file will say of itself.

    ``size``: (H, W) of the input, None for any; a model that takes one size only is exported for
    that. Tiles of a given size overlap by the model's margin, or a quarter of the shorter side
    where that is less.

    Raises ``ValueError`` for a size that the model does not take, or a batch below 1.
    """
    tiling = model.tiling
    if batch is not None and batch < 1:
        raise ValueError(f"batch: expected at least 1, got {batch}")
    if tiling.mode == "grid":
        if size is not None and size != tiling.tile:
            raise ValueError(
                f"size: {model.name} takes {tiling.tile[0]}x{tiling.tile[1]} only, "
                f"got {size[0]}x{size[1]}; leave it out"
            )
        size = tiling.tile
    elif size is not None:
        if min(size) < tiling.align or size[0] % tiling.align or size[1] % tiling.align:
            raise ValueError(
                f"size: {model.name} takes multiples of {tiling.align}, got {size[0]}x{size[1]}"
            )
        quarter = min(size) // 4 // tiling.align * tiling.align
        tiling = replace(tiling, tile=size, margin=min(tiling.margin, quarter))
    return Description(
        model=model.name,
        tiling=tiling,
        stride=stride_of(model, size),
        classes=tuple(model.classes),
        precision=precision,
        batch=batch,
        size=size,
        card=getattr(model, "card", {}),
    )
