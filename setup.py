"""Builds fastcount/_C and _C_numpy (always) and _C_cuda (where there is an nvcc for a CUDA torch).

FASTCOUNT_CUDA=1: the CUDA library must build, or the build fails. FASTCOUNT_CUDA=0: never build it.
No GPU is needed to build: TORCH_CUDA_ARCH_LIST says for which GPUs, with a default below.
_C and _C_cuda use LibTorch's stable ABI only: one binary serves torch >= 2.11 and every Python.
_C_numpy knows no torch, and is bound by pybind11 to the Python that it is built with.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Setuptools wants source paths relative to this file's folder, from which it is run.
CSRC = Path("csrc")
DEFAULT_GPUS = "8.0;9.0;10.0+PTX"
DEFINES = ["-DTORCH_TARGET_VERSION=0x020B000000000000"]  # 2.11
# Without the two -fno flags a compiler may not turn comparisons into vector selects.
FLOAT_FLAGS = ["-fno-trapping-math", "-fno-math-errno"]
# Said outright: PyTorch's own choice was C++17 up to 2.11.
STANDARD = "-std=c++20"
CXX_FLAGS = [STANDARD, "-O3", "-g0", "-fvisibility=hidden", "-Wall", *FLOAT_FLAGS, *DEFINES]
# A fused multiply-add rounds once where torchvision's NMS rounds twice.
NUMPY_FLAGS = [STANDARD, "-O3", "-g0", "-fvisibility=hidden", "-Wall", *FLOAT_FLAGS]
NUMPY_FLAGS += ["-ffp-contract=off"]
NUMPY_CORE = ("find_peaks", "nms", "normalize", "resample", "stitch")  # of csrc/cpu
NVCC_FLAGS = [STANDARD, "-O3", "-DUSE_CUDA", "-Xcompiler=-fvisibility=hidden", *DEFINES]


def cuda_home() -> str | None:
    """The toolkit's root as nvcc itself tells it: that on the PATH may be a wrapper elsewhere."""
    root = os.environ.get("CUDA_HOME")
    nvcc = str(Path(root, "bin", "nvcc")) if root else shutil.which("nvcc")
    if nvcc is None or shutil.which(nvcc) is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".cu") as source:
        dry_run = subprocess.run([nvcc, "--dryrun", source.name], capture_output=True, text=True)
    here = re.search(r"_HERE_=(.+)", dry_run.stderr)
    return str(Path(here[1].strip()).parent) if here else None


def wants_cuda(home: str | None, torch_cuda: str | None) -> bool:
    """Whether to build _C_cuda; never asks whether a GPU is present."""
    choice = os.environ.get("FASTCOUNT_CUDA", "")
    if choice not in ("", "0", "1"):
        raise SystemExit(f"FASTCOUNT_CUDA={choice!r}: use 1 (must build), 0 (never) or leave unset")
    if choice == "1" and home is None:
        raise SystemExit("FASTCOUNT_CUDA=1, but there is no nvcc: put it on the PATH or unset it")
    if choice == "1" and torch_cuda is None:
        raise SystemExit("FASTCOUNT_CUDA=1, but this torch is built without CUDA: install one with")
    return choice != "0" and home is not None and torch_cuda is not None


def pybind11_include() -> str:
    """Where pybind11's headers are: its own, or the copy that every torch brings."""
    try:
        import pybind11
    except ImportError:
        from torch.utils.cpp_extension import include_paths

        return include_paths()[0]
    return pybind11.get_include()


def sources(*patterns: str) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in CSRC.glob(pattern))


def main() -> None:
    home = cuda_home()
    if home:
        os.environ["CUDA_HOME"] = home  # torch reads it on import
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_GPUS)

    import torch
    from setuptools import Extension, setup
    from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension

    common = {"include_dirs": [str(CSRC.resolve())], "py_limited_api": True}
    extensions = [
        CppExtension(
            "fastcount._C",
            sources("cpu/*.cpp", "bindings/torch/*.cpp"),
            extra_compile_args={"cxx": CXX_FLAGS},
            **common,
        ),
        Extension(
            "fastcount._C_numpy",
            sources(*(f"cpu/{name}.cpp" for name in NUMPY_CORE), "bindings/numpy/*.cpp"),
            include_dirs=[str(CSRC.resolve()), pybind11_include()],
            extra_compile_args={"cxx": NUMPY_FLAGS},
            language="c++",
        ),
    ]
    cuda_sources = sources("cuda/*.cu", "bindings/torch/cuda/*.cpp")
    if cuda_sources and wants_cuda(home, torch.version.cuda):
        extensions.append(
            CUDAExtension(
                "fastcount._C_cuda",
                cuda_sources,
                extra_compile_args={"cxx": [*CXX_FLAGS, "-DUSE_CUDA"], "nvcc": NVCC_FLAGS},
                **common,
            )
        )
    setup(ext_modules=extensions, cmdclass={"build_ext": BuildExtension})


if __name__ == "__main__":
    main()
