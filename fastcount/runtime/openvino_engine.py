"""An exported model under OpenVINO as an engine."""

from __future__ import annotations

import os
import threading
from typing import Any

from fastcount.runtime.description import read_sidecar
from fastcount.runtime.exported import (
    INPUT,
    PARTS,
    ExportedEngine,
    Outputs,
    Pixels,
    model_file,
)
from fastcount.runtime.found import outputs_read, outputs_read_again
from fastcount.runtime.quiet_imports import import_openvino
from fastcount.runtime.zooming import Parts


class OpenvinoEngine(ExportedEngine):
    """Runs the ``.xml`` file at ``path``, written by ``fastcount export --openvino``.

    Its weights (``.bin``) and its description (``.xml.json``) lie beside it. ``device``: one of
    OpenVINO's, ``"CPU"`` or ``"GPU"``, in any case; None is the CPU. Arithmetic is float32 where
    the file's is; left to itself, OpenVINO takes bfloat16 on CPUs that have it. A file exported
    for bfloat16 computes in it there, and in float32 elsewhere. Needs no PyTorch.

    Raises ``FileNotFoundError`` where there is no file; ``ImportError`` without openvino;
    ``ValueError`` for a file that is not such a model, or a device that is not there.
    """

    def __init__(self, path: str | os.PathLike[str], device: str | None = None) -> None:
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise ImportError(
                "openvino is not installed, and .xml files need it: pip install openvino"
            ) from error
        path = model_file(path)
        super().__init__(read_sidecar(path))
        core = openvino.Core()
        place = (device or "cpu").upper()
        if place.partition(".")[0] not in {
            name.partition(".")[0] for name in core.available_devices
        }:
            raise ValueError(
                f"device: OpenVINO knows {', '.join(core.available_devices)} here, got {device!r}"
            )
        precision = "f32"  # of float16, CPUs store the weights alone
        if place == "CPU" and self.description.precision == "bf16" and has_bfloat16(core):
            precision = "bf16"
        elif place != "CPU" and self.description.precision == "fp16":
            precision = "f16"
        try:
            whole = core.read_model(path)
            named = [output.any_name for output in whole.outputs]

            def compiled(names: list[str], given: str) -> Any:
                # What is not read is not computed.
                nodes = [whole.output(name).node for name in names]
                part = openvino.Model(nodes, [whole.input(given).node])
                return core.compile_model(part, place, {"INFERENCE_PRECISION_HINT": precision})

            self._outputs = outputs_read(named, self.description)
            self._compiled = compiled(self._outputs, INPUT)
            self._outputs_again = outputs_read_again(named)
            if self._outputs_again:
                self._compiled_again = compiled(self._outputs_again, PARTS)
        except RuntimeError as error:
            raise ValueError(
                f"path: {path} cannot be run by OpenVINO ({str(error).splitlines()[0]}); "
                "export it again"
            ) from error
        self._turn = threading.Lock()  # OpenVINO refuses a second thread

    def _network(self, pixels: Pixels) -> Outputs:
        return _by_name(self._outputs, self._compiled(pixels))

    def _network_again(self, parts: Parts) -> Outputs:
        return _by_name(self._outputs_again, self._compiled_again(parts))


def _by_name(names: list[str], found: Any) -> Outputs:
    return {name: found[index] for index, name in enumerate(names)}


def has_bfloat16(core: Any) -> bool:
    """Whether the CPU of an ``openvino.Core`` has arithmetic in bfloat16."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
