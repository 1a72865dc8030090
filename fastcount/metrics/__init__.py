"""Metrics of counting as torchmetrics classes, and as plain functions in ``functional``.

The classes need torchmetrics (``pip install fastcount[train]``), the functions do not; so each
class is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcount.metrics.box_ap import BoxAP
    from fastcount.metrics.class_count_error import ClassCountError
    from fastcount.metrics.count_agreement import CountAgreement
    from fastcount.metrics.count_error import CountError
    from fastcount.metrics.game import GAME
    from fastcount.metrics.localization_ap import LocalizationAP
    from fastcount.metrics.mask_ap import MaskAP
    from fastcount.metrics.pck_ap import PckAP
    from fastcount.metrics.point_pr import PointPR

__all__ = [
    "GAME",
    "BoxAP",
    "ClassCountError",
    "CountAgreement",
    "CountError",
    "LocalizationAP",
    "MaskAP",
    "PckAP",
    "PointPR",
]

_HOMES = {
    "BoxAP": "box_ap",
    "ClassCountError": "class_count_error",
    "CountAgreement": "count_agreement",
    "CountError": "count_error",
    "GAME": "game",
    "LocalizationAP": "localization_ap",
    "MaskAP": "mask_ap",
    "PckAP": "pck_ap",
    "PointPR": "point_pr",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastcount.metrics' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"fastcount.metrics.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torchmetrics":
            raise
        raise ModuleNotFoundError(
            f"fastcount.metrics.{name} needs torchmetrics: pip install 'fastcount[train]', or use "
            "fastcount.metrics.functional",
            name=error.name,
        ) from error
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
