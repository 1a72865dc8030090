"""A counting model as the graph that is exported: pixels of a file in, density and count out."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch.export import Dim, ExportedProgram

from fastcount.export.outputs import Limits, Told, told_again, told_by
from fastcount.export.stand_ins import stand_ins
from fastcount.models.base import CountingModel
from fastcount.runtime.description import Description, Precision
from fastcount.runtime.zooming import ZOOM

_MOST_AT_ONCE = 1024
# Of a network that takes any size: below, its coarsest maps would be single cells.
_LEAST_SIDE = 288
_LONGEST_SIDE = 2**16


class CountingGraph(nn.Module):
    """``model`` with what comes before and after it.

    ``forward``: (B, H, W, 3) uint8 RGB to tensors by name, see :mod:`fastcount.export.outputs`.
    The pixels are scaled to [0, 1] in float32, then go through the model in its own precision.
    A model that looks again takes enlarged ``parts`` (N, h, w, 3) in [0, 1] beside them, float32.
    ``most``: objects, or candidates of them, handed out for a picture.
    """

    def __init__(self, model: CountingModel, most: int) -> None:
        super().__init__()
        self.model = model
        self.limits = Limits.of(model, most)
        self.dtype = next(model.parameters()).dtype

    def forward(self, images: Tensor, parts: Tensor | None = None) -> dict[str, Tensor]:
        tensors = self.told(images).tensors
        if parts is None:
            return tensors
        pixels = parts.permute(0, 3, 1, 2).to(self.dtype)
        return tensors | told_again(self.model, pixels, self.limits)

    def told(self, images: Tensor) -> Told:
        """What :meth:`forward` gives for the pictures, and what it means."""
        # Cast first: of 8-bit tensors TensorRT takes a network's input, and nothing computed.
        pixels = images.to(torch.float32).permute(0, 3, 1, 2) / 255
        return told_by(self.model, self.model(pixels.to(self.dtype)), self.limits)


def trace(graph: CountingGraph, description: Description) -> ExportedProgram:
    """The graph as a program for every input that ``description`` allows."""
    align = description.tiling.align
    height, width = description.size or _small(align)
    # Sizes of 1 would be taken for constants.
    number = description.batch or 2
    examples = [torch.zeros((number, height, width, 3), dtype=torch.uint8)]
    free = [_free("batch", description.batch, description.size, align)]
    if description.zoom is not None:
        examples.append(torch.zeros((number, *_small(ZOOM), 3)))
        free.append(_free("parts", description.batch, None, ZOOM))
    with torch.no_grad(), warnings.catch_warnings():
        # torchvision's nms names a size that depends on values by a method's former name.
        warnings.filterwarnings("ignore", "`create_unbacked_symint`", FutureWarning)
        try:
            program = torch.export.export(
                graph,
                tuple(examples),
                dynamic_shapes=tuple(free),
                strict=False,
                # Of rounded quotients of a free side the tracer cannot prove even that none is 0.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
        except UserError as error:
            if description.size is not None:
                raise
            raise ValueError(
                f"size: {description.model} as it is configured can be exported for one size only "
                "(its layers need to know the size); give --size HxW"
            ) from error
        used = {node.target for node in program.graph.nodes}
        table = {name: made for name, made in stand_ins(graph.dtype).items() if name in used}
        program = program.run_decompositions(table) if table else program
    if description.zoom is not None:
        _for_every_part(program)
    return program


def _free(
    name: str, batch: int | None, size: tuple[int, int] | None, align: int
) -> dict[int, object]:
    """Which sides of an input (B, H, W, 3) may be of any length, by their place."""
    free: dict[int, object] = {}
    if batch is None:
        free[0] = Dim(name, min=1, max=_MOST_AT_ONCE)
    if size is None:
        least, most = _LEAST_SIDE if align == 1 else 1, _LONGEST_SIDE // align
        for place, side_name in ((1, "rows"), (2, "columns")):
            side = Dim(f"{name}_{side_name}", min=least, max=most)
            free[place] = side if align == 1 else align * side
    return free


def _for_every_part(program: ExportedProgram) -> None:
    """Lets the program take parts of all sizes.

    Where a map is cut to its picture's size the tracer notes whether that left its memory in one
    piece, as in its example, and has the program insist on it; no value depends on it.
    """
    graph = program.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()


def output_names(program: ExportedProgram) -> list[str]:
    """The names of a traced graph's outputs, in order."""
    spec = program.call_spec.out_spec
    named = pytree.tree_unflatten(range(spec.num_leaves), spec)
    return sorted(named, key=named.__getitem__)


def _small(align: int) -> tuple[int, int]:
    """A small picture's sides, two different ones."""
    if align == 1:
        return _LEAST_SIDE + 32, _LEAST_SIDE + 64
    return 2 * max(align, 32), 3 * max(align, 32)


def describe(
    model: CountingModel,
    *,
    size: tuple[int, int] | None,
    batch: int | None,
    precision: Precision,
    most: int,
) -> Description:
    """What the exported file will say of itself.

    ``size``: (H, W) of the input, None for any; a model that takes one size only is exported for
    that. Tiles of a given size overlap by the model's margin, or a quarter of the shorter side
    where that is less; pictures that are scaled are scaled to fit into it.

    Raises ``ValueError`` for a size that the model does not take, a batch or ``most`` below 1,
    and a model that cannot be exported.
    """
    tiling = model.tiling
    if batch is not None and batch < 1:
        raise ValueError(f"batch: expected at least 1, got {batch}")
    if most < 1:
        raise ValueError(f"most: expected at least 1, got {most}")
    if tiling.mode in ("divide", "grid") or tiling.tile == (tiling.align, tiling.align):
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
        margin = min(tiling.margin, quarter)
        tiling = replace(tiling, tile=size, margin=margin, turn=False)
    with torch.inference_mode():
        told = CountingGraph(model, most).told(
            torch.zeros((1, *(size or _small(tiling.align)), 3), dtype=torch.uint8)
        )
    return Description(
        model=model.name,
        tiling=tiling,
        stride=told.stride,
        locates=told.locates,
        overlap=told.overlap,
        zoom=told.zoom,
        classes=tuple(model.classes),
        precision=precision,
        batch=batch,
        size=size,
        card=model.card,
    )
