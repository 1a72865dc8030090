"""What of a model's output goes into the exported graph, by name.

Every graph has some of these, in this order: ``count`` (B,), ``std`` (B,), ``density``
(B, 1, h, w), ``per_class`` (B, C), ``boxes`` (B, K, 4), ``points`` (B, K, 2), ``scores`` (B, K),
``labels`` (B, K), ``found`` (B,): float32 but for the last two, int32. Of the K the first
``found`` are objects, by falling score; more than K were found where ``found`` is more than K, and
scores were no numbers where it is below 0.

RAZ-Net that zooms has no ``count``, which the runtime makes of what both its networks find. Its
graph gives Main-Net's ``density``, ``points``, ``scores``, ``found`` and ``attention`` (B, 1, H,
W) in [0, 1], and for a second input, enlarged parts of a picture, what the zooming network finds:
``zoomed_points``, ``zoomed_scores``, ``zoomed_found`` and, where there are looks after that,
``zoomed_attention``. Neither needs the other: ONNX Runtime and OpenVINO run one alone, a .pt2 file
and a plan both, with next to nothing for the one that is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastcount.export import boxes, proposals
from fastcount.export.found import Located, chosen
from fastcount.export.peaks import coordinates, peak_heights, peaks_or_nan
from fastcount.models.base import CountingModel, DensityOutput
from fastcount.models.countseg import CountSeg, CountSegOutput
from fastcount.models.deepcount import DeepCountOutput, branch_stride
from fastcount.models.faster_rcnn import FasterRCNN, FasterRCNNOutput
from fastcount.models.leaf_detection import LeafDetection, LeafDetectionOutput
from fastcount.models.leaf_joint import LeafJoint, LeafJointOutput
from fastcount.models.leaf_msr import LeafMSROutput
from fastcount.models.leaf_regression import LeafRegressionOutput
from fastcount.models.parts.box_detector import BoxDetector
from fastcount.models.parts.keypoint_head import KeypointHead
from fastcount.models.raznet import RAZNet, RAZNetOutput
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
        return cls(most, float(model.score_threshold) if isinstance(model, BoxDetector) else 0.0)


def told_by(model: CountingModel, output: Any, limits: Limits) -> Told:
    """What the exported graph of ``model`` gives for its typed ``output``.

    Sums are taken in float32. Raises ``ValueError`` for a model that cannot be
    exported as one graph, and for an unknown type of output.
    """
    told = _told(model, output, limits)
    ordered = {name: told.tensors[name] for name in _ORDER if name in told.tensors}
    return replace(told, tensors=ordered)


def _told(model: CountingModel, output: Any, limits: Limits) -> Told:
    if isinstance(output, DensityOutput):
        return _density(output.density, output.stride)
    if isinstance(output, DeepCountOutput):
        return _deepcount(output)
    if isinstance(output, LeafRegressionOutput | LeafMSROutput):
        return Told(_leaf_counts(output))
    if isinstance(model, LeafDetection):
        return _leaf_points(model.head, model.least_peak, output, limits)
    if isinstance(model, LeafJoint):
        return _leaf_points(model.detection, model.least_peak, output, limits)
    if isinstance(model, RAZNet):
        return _raznet(model, output, limits)
    if isinstance(model, CountSeg):
        return _countseg(output, model.stride)
    if isinstance(model, FasterRCNN):
        return _faster_rcnn(model, output, limits)
    if isinstance(model, boxes.Detector):
        found, overlap = boxes.candidates(model, output, limits.threshold, limits.most)
        return Told(found.tensors(), locates="boxes", overlap=overlap)
    raise ValueError(
        f"model: cannot export a model whose output is {type(output).__name__}; "
        "those that give a density can be, and all that fastcount.models lists"
    )


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


def _raznet(model: RAZNet, output: RAZNetOutput, limits: Limits) -> Told:
    density = output.density.float()
    if model.report == "density":
        return _density(density, model.stride)
    assert output.logits is not None
    heights = peaks_or_nan(_sigmoid(output.logits), 3, 0.5, smooth=True)
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


def looks_again(model: RAZNet) -> bool:
    """Whether ``model`` zooms: a second network sees parts of the picture."""
    return model.depth > 1 and model.report != "density"


def _zooming(model: RAZNet, output: RAZNetOutput, found: Located) -> Told:
    assert output.attention is not None
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


def told_again(model: CountingModel, parts: Tensor, limits: Limits) -> dict[str, Tensor]:
    """What the zooming network of ``model``, a RAZ-Net, finds in ``parts`` (B, 3, h, w), enlarged
    already."""
    assert isinstance(model, RAZNet)
    assert model.zoom is not None
    logits, attention = model.zoom(parts)
    again = _points(peaks_or_nan(_sigmoid(logits), 3, 0.5, smooth=True), limits.most)
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


def _countseg(output: CountSegOutput, stride: int) -> Told:
    counts = output.counts
    there = (counts > 0)[..., None, None]
    density = torch.where(there, output.density.float(), 0.0).sum(dim=1, keepdim=True)
    told = _density(density, stride, counts.sum(dim=1))
    return Told({**told.tensors, "per_class": counts}, stride)


def _leaf_counts(
    output: LeafRegressionOutput | LeafMSROutput | LeafDetectionOutput | LeafJointOutput,
) -> dict[str, Tensor]:
    tensors = {"count": output.count.float().clamp(min=0)}
    if isinstance(output, LeafMSROutput | LeafJointOutput) and output.std is not None:
        tensors["std"] = output.std.float()
    return tensors


def _leaf_points(
    head: KeypointHead,
    least_peak: float,
    output: LeafDetectionOutput | LeafJointOutput,
    limits: Limits,
) -> Told:
    heights = peak_heights(output.keypoints.heatmaps[-1].float(), head.window, least_peak)
    found = _points(heights, limits.most, head.stride)
    return Told({**_leaf_counts(output), **found.tensors()}, locates="points")


def _faster_rcnn(model: FasterRCNN, output: FasterRCNNOutput, limits: Limits) -> Told:
    found = proposals.candidates(model, output, limits.threshold, limits.most)
    return Told(found.tensors(), locates="boxes", overlap=model.roi_heads.nms_thresh)


def _points(heights: Tensor, most: int, stride: int = 1) -> Located:
    """The peaks (B, 1, h, w) as points, cell ``x`` at pixel ``x * stride``."""
    best = chosen(heights.flatten(1), most)
    points = coordinates(heights)[best.place] * stride
    return Located(best.scores, best.found, points=best.blank(points))


def _sigmoid(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.float())
