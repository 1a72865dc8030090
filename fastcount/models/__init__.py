"""Counting networks, one file a paper."""

from fastcount.models import (
    cannet,
    centernet,
    countseg,
    csrnet,
    deepcount,
    density_fpn,
    faster_rcnn,
    fcos,
    foveabox,
    leaf_detection,
    leaf_joint,
    leaf_msr,
    leaf_regression,
    mcnn,
    raznet,
    retinanet,
    yolov5,
)
from fastcount.models.base import CountingModel, DensityOutput, Target
from fastcount.models.registry import create_model, list_models, register

__all__ = [
    "CountingModel",
    "DensityOutput",
    "Target",
    "cannet",
    "centernet",
    "countseg",
    "create_model",
    "csrnet",
    "deepcount",
    "density_fpn",
    "faster_rcnn",
    "fcos",
    "foveabox",
    "leaf_detection",
    "leaf_joint",
    "leaf_msr",
    "leaf_regression",
    "list_models",
    "mcnn",
    "raznet",
    "register",
    "retinanet",
    "yolov5",
]
