"""Loads the native libraries: ``_C`` (CPU, always there) and ``_C_cuda`` (where torch has CUDA).

Importing this module makes ``torch.ops.fastcount`` complete. A library that does not load says why.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

_PACKAGE = Path(__file__).resolve().parent.parent
_REBUILD = "rebuild it for this torch: pip install --no-build-isolation --force-reinstall fastcount"


def _find(name: str) -> Path | None:
    return next(iter(sorted(_PACKAGE.glob(f"{name}.*so"))), None)


def _explain(library: Path, error: OSError) -> str:
    """Which of the usual cases a failed load is."""
    text = str(error)
    torch_is = f"torch {torch.__version__} (CUDA {torch.version.cuda or 'none'})"
    if "libcudart" in text or "libc10_cuda" in text or "libtorch_cuda" in text:
        return (
            f"{library.name} was built for another CUDA than that of {torch_is}; {_REBUILD}\n{text}"
        )
    if "undefined symbol" in text:
        return f"{library.name} was built for a newer torch than {torch_is}; {_REBUILD}\n{text}"
    return f"{library.name} is broken or built for another machine; {_REBUILD}\n{text}"


def _load_cpu() -> None:
    library = _find("_C")
    if library is None:
        raise ImportError(
            f"fastcount's native library is not built: there is no _C.*.so in {_PACKAGE}; "
            "install the package (pip install --no-build-isolation .) or, in a source tree, run "
            "python setup.py build_ext --inplace"
        )
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ImportError(_explain(library, error)) from error


def _load_cuda() -> str | None:
    """Load the CUDA library; the reason why there is none, or None where there is."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    library = _find("_C_cuda")
    if library is None:
        return (
            f"fastcount was built without CUDA: there is no _C_cuda.*.so in {_PACKAGE}; build it "
            "on a machine with nvcc (no GPU needed): "
            "FASTCOUNT_CUDA=1 pip install --no-build-isolation --force-reinstall ."
        )
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError as error:
        return _explain(library, error)
    return None


_load_cpu()
#: Why operators cannot run on CUDA tensors; None where they can.
cuda_error: str | None = _load_cuda()


def require_device(device: torch.device) -> None:
    """Raise RuntimeError where the operators have no code for ``device``."""
    if device.type == "cuda" and cuda_error is not None:
        raise RuntimeError(f"no CUDA kernels: {cuda_error}")
    if device.type not in ("cpu", "cuda", "meta"):
        raise RuntimeError(
            f"device={device}: fastcount's operators run on cpu and cuda; move there"
        )


#: Devices whose kernels read float16 and bfloat16, computing in float32.
narrow_devices = {"cuda"}


def kernel_input(maps: Tensor) -> Tensor:
    """``maps`` in a dtype that its device's kernels read: as they are, or in float32."""
    read = maps.dtype in (torch.float32, torch.float64) or (
        maps.dtype in (torch.float16, torch.bfloat16) and maps.device.type in narrow_devices
    )
    return maps if read else maps.float()
