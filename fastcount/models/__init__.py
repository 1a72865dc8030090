"""Counting networks, one file a paper; each is imported when it is asked for."""

from fastcount.models.base import CountingModel, DensityOutput, Target
from fastcount.models.registry import create_model, list_models, register

__all__ = [
    "CountingModel",
    "DensityOutput",
    "Target",
    "create_model",
    "list_models",
    "register",
]
