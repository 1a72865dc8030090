"""Compiles the CUDA kernels for the emulator with g++, again only where a source has changed."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch.utils.cpp_extension import include_paths, library_paths

REPOSITORY = Path(__file__).resolve().parents[2]
CSRC = REPOSITORY / "csrc"
BUILD = REPOSITORY / "build" / "emulator"
COMPILER = os.environ.get("CXX", "g++")

_FLAGS = [
    "-std=c++20",
    "-O1",
    "-g1",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-gnu-unique",
    "-DFASTCOUNT_EMULATOR",
    "-DTORCH_TARGET_VERSION=0x020B000000000000",
    # The same operators under another name, so that both libraries can be loaded at once.
    "-Dfastcount=fastcount_emulated",
    f"-I{CSRC}",
]
#: An error ends the process, so that a test in a subprocess fails.
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]


def kernel_sources() -> list[Path]:
    """Every CUDA kernel, its bindings and the index of the operators."""
    return [
        *sorted(CSRC.glob("cuda/*.cu")),
        *sorted(CSRC.glob("bindings/torch/cuda/*.cpp")),
        CSRC / "bindings" / "torch" / "ops.cpp",
    ]


@functools.cache
def _headers() -> bytes:
    """Every header's content: whichever changes, everything is compiled again."""
    digest = hashlib.sha256()
    for header in sorted(CSRC.rglob("*.h")):
        digest.update(header.read_bytes())
    return digest.digest()


def _compile(source: Path, flags: list[str]) -> Path:
    command = [COMPILER, *_FLAGS, *flags, *(f"-isystem{path}" for path in include_paths())]
    digest = hashlib.sha256(_headers() + " ".join(command).encode() + source.read_bytes())
    folder = BUILD / digest.hexdigest()[:16]
    target = folder / f"{source.stem}.o"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.o")
        subprocess.run([*command, "-x", "c++", "-c", str(source), "-o", str(part)], check=True)
        part.rename(target)
    return target


def build_library(sources: list[Path], *, sanitize: bool = False) -> Path:
    """A shared library of these sources and the emulator.

    A failed compilation raises ``subprocess.CalledProcessError``; the compiler's words are on
    stderr.
    """
    flags = SANITIZE if sanitize else []
    everything = [*sources, *sorted(CSRC.glob("emulator/*.cpp"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: _compile(source, flags), everything))
    digest = hashlib.sha256("".join(map(str, objects)).encode()).hexdigest()[:16]
    target = BUILD / f"emulated-{digest}.so"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.so")
        libraries = [f"-L{path}" for path in library_paths()]
        subprocess.run(
            [COMPILER, "-shared", *flags, *map(str, objects), *libraries]
            + ["-ltorch_cpu", "-lc10", "-o", str(part)],
            check=True,
        )
        part.rename(target)
    return target


def sanitizer_runtime() -> Path:
    """The library that must be preloaded where a sanitized library is loaded."""
    found = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip()).resolve()
