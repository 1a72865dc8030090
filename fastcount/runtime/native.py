"""Loads ``fastcount._C_numpy``, the native code of the runtime: without PyTorch.

It is built together with the package, for the Python that built it. Where it is missing, importing
this module says why and what to do: nothing counts without it.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["cut", "find_peaks", "letterbox", "nms", "place_core"]

_PACKAGE = Path(__file__).resolve().parent.parent
_NAME = "_C_numpy"


def explain(package: Path, error: ImportError) -> str:
    """Why ``_C_numpy`` could not be imported out of ``package``, and the cure."""
    built = sorted(path.name for path in package.glob(f"{_NAME}.*"))
    libraries = [name for name in built if not name.endswith(".pyi")]
    if not libraries:
        return (
            f"fastcount's native library for counting is not built: there is no {_NAME}.* in "
            f"{package}; install the package (pip install --no-build-isolation .) or, in a source "
            "tree, run python setup.py build_ext --inplace"
        )
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"fastcount's native library for counting does not load in {python} ({error}): there is "
        f"{', '.join(libraries)}; install fastcount again with this {python}"
    )


try:
    from fastcount._C_numpy import cut, find_peaks, letterbox, nms, place_core
except ImportError as error:
    raise ImportError(explain(_PACKAGE, error)) from error
