"""RetinaNet (Lin et al. 2017) of torchvision, with mask focal loss (Zhong et al.)."""

from __future__ import annotations

from functools import partial
from typing import Unpack

from torch import nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead

from fastcount.models.parts.pyramid_detector import PyramidOptions
from fastcount.models.parts.torchvision_detector import (
    UNLIMITED,
    HandsOutMatches,
    NoBackbone,
    TorchvisionDetector,
)
from fastcount.models.registry import register

_GROUPS = 32  # of group norm, as in FCOS


class _Head(HandsOutMatches, RetinaNetHead):  # type: ignore[misc]  # torchvision has no types
    """torchvision's head, which also hands out the box that each anchor learns."""


@register("retinanet")
class RetinaNet(TorchvisionDetector):
    """Nine anchors in each cell score their class and how to move onto the object.

    The head has torchvision's newer form, with group norm (Wu and He 2018): without it, scores
    of background fall so slowly that objects are counted twice after hundreds of steps.

    Args:
        nms_threshold: of two boxes that overlap by more (IoU) the one of lower score goes.
        anchor_scale: side of a level's smallest anchors in cells; torchvision's is 4 (32 pixels
            at stride 8). Heads of some 15 pixels want 2.
        options: see :class:`fastcount.models.parts.pyramid_detector.PyramidDetector`; channels
            must be a multiple of 32.
    """

    def __init__(
        self,
        *,
        nms_threshold: float = 0.5,
        anchor_scale: float = 4.0,
        **options: Unpack[PyramidOptions],
    ) -> None:
        super().__init__(**options)
        sizes = tuple(
            tuple(int(anchor_scale * stride * 2 ** (third / 3)) for third in range(3))
            for stride in self.strides
        )
        self.detector = detection.RetinaNet(
            NoBackbone(self.channels),
            len(self.classes),
            anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
            head=_Head(
                self.channels, 9, len(self.classes), norm_layer=partial(nn.GroupNorm, _GROUPS)
            ),
            nms_thresh=nms_threshold,
            detections_per_img=UNLIMITED,
            topk_candidates=UNLIMITED,
        )
