"""Counting networks, one file a paper."""

from fastcount.models import density_fpn
from fastcount.models.base import CountingModel, DensityOutput, Target
from fastcount.models.registry import create_model, list_models, register

__all__ = [
    "CountingModel",
    "DensityOutput",
    "Target",
    "create_model",
    "density_fpn",
    "list_models",
    "register",
]
