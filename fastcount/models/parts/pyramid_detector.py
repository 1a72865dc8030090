"""The arguments that FCOS, RetinaNet and FoveaBox share: a pyramid, a focal loss, classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypedDict

from fastcount.models.parts.dense_detector import DenseDetector, TargetMap
from fastcount.models.parts.focal_choice import FocalName
from fastcount.models.parts.pyramid import BackbonePyramid, Coarse


class PyramidOptions(TypedDict, total=False):
    """Arguments of :class:`PyramidDetector`, which documents them."""

    backbone: str
    loss: FocalName
    gamma: float | None
    beta: float | None
    epsilon: float
    target_map: TargetMap
    classes: Sequence[str]
    score_threshold: float
    levels: Sequence[int]
    channels: int
    weights: str | None


class PyramidDetector(DenseDetector):
    """A dense detector on a backbone with a feature pyramid.

    Args:
        backbone, weights: of :class:`fastcount.models.parts.pyramid.BackbonePyramid`.
        levels, channels: of the pyramid; a cell of level l has 2^l pixels a side.
        loss, gamma, beta, epsilon, target_map: see :class:`DenseDetector`.
        classes, score_threshold: see :class:`BoxDetector`.
    """

    coarse: ClassVar[Coarse] = "C5"

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        loss: FocalName = "focal",
        gamma: float | None = None,
        beta: float | None = None,
        epsilon: float = 6.0,
        target_map: TargetMap = "binary",
        classes: Sequence[str] = ("object",),
        score_threshold: float = 0.3,
        levels: Sequence[int] = (3, 4, 5, 6, 7),
        channels: int = 256,
        weights: str | None = None,
    ) -> None:
        super().__init__(
            BackbonePyramid(backbone, channels, tuple(levels), weights, self.coarse),
            levels=levels,
            loss=loss,
            gamma=gamma,
            beta=beta,
            epsilon=epsilon,
            target_map=target_map,
            classes=classes,
            score_threshold=score_threshold,
        )
        self.channels = channels
