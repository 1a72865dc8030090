"""Compiles the CUDA kernels for the emulator and the CPU's code for the sanitizers, with g++.

Again only where a source has changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from fastcount.files import atomic_write

REPOSITORY = Path(__file__).resolve().parents[2]
CSRC = REPOSITORY / "csrc"
BUILD = REPOSITORY / "build" / "emulator"
EMULATOR = sorted(CSRC.glob("emulator/*.cpp"))
COMPILER = os.environ.get("CXX", "g++")
TORCH = Path(torch.__file__).parent

_FLAGS = [
    "-std=c++20",
    "-g1",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fno-gnu-unique",
    "-DFASTCOUNT_EMULATOR",
    "-DTORCH_TARGET_VERSION=0x020B000000000000",
    f"-I{CSRC}",
    f"-isystem{TORCH / 'include'}",
    f"-isystem{sysconfig.get_path('include')}",
]
#: An error ends the process, so that a test in a subprocess fails.
SANITIZE = [
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-D_GLIBCXX_ASSERTIONS",
]


def _together(name: str, *patterns: str) -> Path:
    """One source of many bindings, for reading a library's headers takes a compiler longer than the
    bindings themselves.
    """
    together = BUILD / name
    paths = (path for pattern in patterns for path in sorted(CSRC.glob(pattern)))
    with atomic_write(together, "w") as file:
        file.writelines(f'#include "{path}"\n' for path in paths)
    return together


def kernel_sources() -> list[Path]:
    """Every CUDA kernel, their bindings and the index of the operators, and the emulator."""
    bindings = _together("bindings.cpp", "bindings/torch/cuda/*.cpp", "bindings/torch/ops.cpp")
    return [*sorted(CSRC.glob("cuda/*.cu")), bindings, *EMULATOR]


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def _contents(files: Iterable[Path]) -> str:
    """The present state of the files, as text; one that is gone counts as empty."""
    return "\n".join(
        f"{path} {_digest(path.read_bytes() if path.exists() else b'')}" for path in files
    )


def _compile(source: Path, command: list[str]) -> Path:
    """The object of one source, made anew if it or a header that it read has changed."""
    folder = BUILD / f"{source.stem}-{_digest(source, *command)}"
    target, record = folder / "object.o", folder / "inputs"
    if target.exists() and record.exists():
        recorded = record.read_text()
        if recorded == _contents(Path(line.split()[0]) for line in recorded.splitlines()):
            return target
    folder.mkdir(parents=True, exist_ok=True)
    part, listed = folder / f"{os.getpid()}.o", folder / f"{os.getpid()}.d"
    subprocess.run(
        [*command, "-MMD", "-MF", str(listed), "-c", str(source), "-o", str(part)], check=True
    )
    read = listed.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    listed.unlink()
    part.rename(target)
    record.write_text(_contents(map(Path, read)))
    return target


def build_library(sources: list[Path], *, sanitize: bool = False, optimize: bool = True) -> Path:
    """A shared library of these sources.

    A failed compilation raises ``subprocess.CalledProcessError``; the compiler's words are on
    stderr.
    """
    flags = ["-O2" if optimize else "-O0", *(SANITIZE if sanitize else [])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        command = [COMPILER, *_FLAGS, *flags, "-x", "c++"]
        objects = list(pool.map(lambda source: _compile(source, command), sources))
    target = BUILD / f"emulated-{_digest(*flags, *(_contents([each]) for each in objects))}.so"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.so")
        command = [COMPILER, "-shared", *flags, *map(str, objects)]
        libraries = [f"-L{TORCH / 'lib'}", "-ltorch_cpu", "-lc10"]
        subprocess.run([*command, *libraries, "-o", str(part)], check=True)
        part.rename(target)
    return target


def sanitized_cpu_library() -> Path:
    """Every kernel for the CPU and the bindings to torch and to NumPy, for the sanitizers.

    Not optimized: that would take longer than it saves.
    """
    bindings = [
        _together("torch_bindings.cpp", "bindings/torch/*.cpp"),
        _together("numpy_bindings.cpp", "bindings/numpy/*.cpp"),
    ]
    sources = [*sorted(CSRC.glob("cpu/*.cpp")), *bindings]
    return build_library(sources, sanitize=True, optimize=False)


def sanitizer_runtime() -> str:
    """What must be preloaded where a sanitized library is loaded; the second so that exceptions
    find their way past the first."""
    libraries = []
    for name in ("libasan.so", "libstdc++.so.6"):
        command = [COMPILER, f"-print-file-name={name}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        libraries.append(str(Path(found.stdout.strip()).resolve()))
    return " ".join(libraries)
