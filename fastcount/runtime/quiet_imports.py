"""Inference engines, imported without what they tell their makers: counting talks to nobody."""

from __future__ import annotations

import os
import sys
from typing import Any


def import_onnxruntime() -> Any:
    """ONNX Runtime, its telemetry off unless ``ORT_DISABLE_TELEMETRY`` says otherwise.

    Raises ``ImportError`` where it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported, not later
    import onnxruntime

    return onnxruntime


def import_openvino() -> Any:
    """OpenVINO without its telemetry, a package of its own that it can do without.

    Raises ``ImportError`` where it is not installed.
    """
    telemetry = "openvino_telemetry"
    hidden = telemetry not in sys.modules
    if hidden:
        sys.modules[telemetry] = None  # type: ignore[assignment]  # what cannot be imported
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules[telemetry]
    return openvino
