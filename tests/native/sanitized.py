"""A pytest plugin: all code for the CPU, checked by AddressSanitizer and UBSan as it runs.

``python -m pytest -p tests.native.sanitized FILES``, with the sanitizers' runtime preloaded
(:mod:`tests.emulator.toolchain` knows where it is), runs ordinary tests on one library of the CPU's
kernels and their bindings in place of ``_C`` and ``_C_numpy``.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import torch

import fastcount
from tests.emulator.toolchain import sanitized_cpu_library

_LIBRARY = sanitized_cpu_library()
_PACKAGE = Path(fastcount.__file__).parent
_load_library = torch.ops.load_library


def _load_sanitized(path: str | Path) -> None:
    ours = Path(path).parent == _PACKAGE and Path(path).name.startswith("_C.")
    _load_library(_LIBRARY if ours else path)


def _import_sanitized(name: str) -> None:
    spec = importlib.util.spec_from_loader(name, ExtensionFileLoader(name, str(_LIBRARY)))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


torch.ops.load_library = _load_sanitized
_import_sanitized("fastcount._C_numpy")
