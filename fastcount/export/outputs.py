"""What of a model's output goes into the exported graph, by name.

Every graph has some of these, in this order: ``count`` (B,), ``std`` (B,), ``density``
(B, 1, h, w), ``per_class`` (B, C), ``boxes`` (B, K, 4), ``points`` (B, K, 2), ``scores`` (B, K),
``labels`` (B, K), ``found`` (B,): float32 but for the last two, int32. Of the K the first
``found`` are objects, by falling score; more than K were found where ``found`` is more than K.

RAZ-Net that zooms has no ``count``, which the runtime makes of what both its networks find. Its
graph gives Main-Net's ``density``, ``points``, ``scores``, ``found`` and ``attention`` (B, 1, H,
W) in [0, 1], and for a second input, enlarged parts of a picture, what the zooming network finds:
``zoomed_points``, ``zoomed_scores``, ``zoomed_found`` and, where there are looks after that,
``zoomed_attention``. Neither needs the other: ONNX Runtime and OpenVINO run one alone, a .pt2 file
and a plan both, with next to nothing for the one that is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastcount.export import boxes, proposals
from fastcount.export.found import Located, chosen
from fastcount.export.peaks import coordinates, peak_heights
from fastcount.models.base import CountingModel, DensityOutput
from fastcount.models.deepcount import DeepCountOutput, branch_stride
from fastcount.runtime.description import Locates, Zoom
from fastcount.runtime.found import AGAIN

MOST = 15_360  # objects, or candidates of them, that a graph hands out for a picture
# What of a mere density's peaks is handed out; the count does not depend on them.
_MOST_OF_DENSITY = 3840
_LEAST_OF_DENSITY = float(torch.finfo(torch.float32).tiny)
_ORDER = (
    *("count", "std", "density", "per_class", "boxes", "points", "scores", "labels", "found"),
    "attention",
)


@dataclass(frozen=True)
class Told:
    """``tensors``: by name, see above. ``stride``: pixels a cell of ``density``.

    ``locates``: what of the graph says where the objects are, None where the model does not. A
    density's peaks are handed out all the same. ``overlap``: boxes of one class with a higher
    intersection over union are one object yet to be told apart, None where they are not. ``zoom``:
    what is done with the points of a second look, None where there is none.
    """

    tensors: dict[str, Tensor]
    stride: int | None = None
    locates: Locates | None = None
    overlap: float | None = None
    zoom: Zoom | None = None


@dataclass(frozen=True)
class Limits:
    """``most``: K. ``threshold``: least score of a detector's boxes, which is no part of a graph
    while it is a tensor of the model."""

    most: int
    threshold: float

    @classmethod
    def of(cls, model: CountingModel, most: int) -> Limits:
        return cls(most, float(getattr(model, "score_threshold", 0.0)))


def told_by(model: CountingModel, output: object, limits: Limits) -> Told:
    """What the exported graph of ``model`` gives for its typed ``output``.

    Sums are taken in float32. Raises ``ValueError`` for a model that cannot be
    exported as one graph, and for an unknown type of output.
    """
    if isinstance(output, DensityOutput):
        told = _density(output.density, output.stride)
    elif isinstance(output, DeepCountOutput):
        told = _deepcount(output)
    elif model.name in _BY_NAME:
        told = _BY_NAME[model.name](model, output, limits)
    else:
        raise ValueError(
            f"model: cannot export a model whose output is {type(output).__name__}; "
            "those that give a density can be, and all that fastcount.models lists"
        )
    ordered = {name: told.tensors[name] for name in _ORDER if name in told.tensors}
    return replace(told, tensors=ordered)


def _density(density: Tensor, stride: int, count: Tensor | None = None) -> Told:
    """A map, its sum unless there is another ``count``, and its peaks."""
    density = density.float()
    heights = peak_heights(density, 3, _LEAST_OF_DENSITY)
    best = chosen(heights.flatten(1), _MOST_OF_DENSITY)
    cells = coordinates(density)[best.place]
    tensors = {
        "count": density.sum(dim=(1, 2, 3)) if count is None else count.float(),
        "density": density,
        "points": best.blank((cells + 0.5) * stride - 0.5),
        "scores": best.scores,
        "found": best.found.clamp(max=_MOST_OF_DENSITY),
    }
    return Told(tensors, stride)


def _deepcount(output: DeepCountOutput) -> Told:
    if not output.densities:
        return Told({"count": output.count.float()})
    finest = min(output.densities)
    return _density(output.densities[finest], branch_stride(finest), output.count)


def _raznet(model: Any, output: Any, limits: Limits) -> Told:
    density = output.density.float()
    if model.report == "density":
        return _density(density, model.stride)
    heights = peak_heights(_sigmoid(output.logits), 3, 0.5, smooth=True)
    found = _points(heights, limits.most)
    if looks_again(model):
        return _zooming(model, output, found)
    if model.report == "localization":
        return Told({"count": found.found.float(), **found.tensors()}, locates="points")
    peaks = (heights > -torch.inf).float()
    located = F.avg_pool2d(peaks, model.stride) * model.stride**2
    fused = _fused(density, located, model.theta.float(), fusion=model.report == "fusion")
    tensors = {"count": fused.sum(dim=(1, 2, 3)), "density": fused, **found.tensors()}
    return Told(tensors, model.stride, locates="points")


def looks_again(model: Any) -> bool:
    """Whether ``model`` is a RAZ-Net that zooms: a second network sees parts of the picture."""
    return model.name == "raznet" and bool(model.depth > 1) and model.report != "density"


def _zooming(model: Any, output: Any, found: Located) -> Told:
    tensors = {**found.tensors(), "attention": _sigmoid(output.attention)}
    if model.report == "localization":
        return Told(tensors, locates="points", zoom=Zoom(None, model.depth))
    theta = model.theta.float()
    if model.report == "average":
        theta = torch.full_like(theta, torch.inf)
    # JSON has no infinite numbers.
    rows = torch.nan_to_num(theta).tolist()
    tensors["density"] = output.density.float()
    zoom = Zoom(tuple(tuple(row) for row in rows), model.depth)
    return Told(tensors, model.stride, locates="points", zoom=zoom)


def told_again(model: Any, parts: Tensor, limits: Limits) -> dict[str, Tensor]:
    """What the zooming network of ``model`` finds in ``parts`` (B, 3, h, w), enlarged already."""
    logits, attention = model.zoom(parts)
    again = _points(peak_heights(_sigmoid(logits), 3, 0.5, smooth=True), limits.most)
    tensors = {f"{AGAIN}{name}": values for name, values in again.tensors().items()}
    if model.depth > 2:
        tensors[f"{AGAIN}attention"] = _sigmoid(attention)
    return tensors


def _fused(density: Tensor, located: Tensor, theta: Tensor, *, fusion: bool) -> Tensor:
    """:func:`fastcount.models.parts.grid_fusion.fuse` for maps of any size."""
    mean = (density + located) / 2
    if not fusion:
        return mean
    rows, columns = (
        _membership(side, theta.shape[0], density).transpose(0, 1) for side in density.shape[-2:]
    )
    counts = torch.matmul(torch.matmul(rows, mean), columns.transpose(0, 1))  # (B, 1, 4, 4)
    crowded = (counts >= theta).float()
    alone = torch.matmul(torch.matmul(rows.transpose(0, 1), crowded), columns) > 0.5
    return torch.where(alone, density, mean)


def _membership(length: int, grid: int, like: Tensor) -> Tensor:
    """(length, grid) float32, 1 where a map's row (or column) belongs to a grid's row."""
    # Cell i belongs to floor((2 i + 1) grid / (2 length)); found without dividing by a free size.
    middle = (torch.arange(length, device=like.device) * 2 + 1)[:, None] * grid
    low = torch.arange(grid, device=like.device) * (2 * length)
    return ((middle >= low) & (middle < low + 2 * length)).float()


def _countseg(model: Any, output: Any, limits: Limits) -> Told:
    counts = output.counts
    there = (counts > 0)[..., None, None]
    density = torch.where(there, output.density.float(), 0.0).sum(dim=1, keepdim=True)
    told = _density(density, model.stride, counts.sum(dim=1))
    return Told({**told.tensors, "per_class": counts}, model.stride)


def _leaf(model: Any, output: Any, limits: Limits) -> Told:
    tensors = {"count": output.count.float().clamp(min=0)}
    std = getattr(output, "std", None)
    if std is not None:
        tensors["std"] = std.float()
    keypoints = getattr(output, "keypoints", None)
    if keypoints is None:
        return Told(tensors)
    head = model.head if model.name == "leaf_detection" else model.detection
    heights = peak_heights(keypoints.heatmaps[-1].float(), head.window, model.least_peak)
    found = _points(heights, limits.most, head.stride)
    return Told({**tensors, **found.tensors()}, locates="points")


def _boxes(model: Any, output: Any, limits: Limits) -> Told:
    found, overlap = boxes.candidates(model, output, limits.threshold, limits.most)
    return Told(found.tensors(), locates="boxes", overlap=overlap)


def _faster_rcnn(model: Any, output: Any, limits: Limits) -> Told:
    found = proposals.candidates(model, output, limits.threshold, limits.most)
    return Told(found.tensors(), locates="boxes", overlap=model.roi_heads.nms_thresh)


_BY_NAME: dict[str, Callable[[Any, Any, Limits], Told]] = {
    "raznet": _raznet,
    "countseg": _countseg,
    "leaf_regression": _leaf,
    "leaf_msr": _leaf,
    "leaf_detection": _leaf,
    "leaf_joint": _leaf,
    "centernet": _boxes,
    "fcos": _boxes,
    "foveabox": _boxes,
    "retinanet": _boxes,
    "yolov5": _boxes,
    "faster_rcnn": _faster_rcnn,
}


def _points(heights: Tensor, most: int, stride: int = 1) -> Located:
    """The peaks (B, 1, h, w) as points, cell ``x`` at pixel ``x * stride``."""
    best = chosen(heights.flatten(1), most)
    points = coordinates(heights)[best.place] * stride
    return Located(best.scores, best.found, points=best.blank(points))


def _sigmoid(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.float())
