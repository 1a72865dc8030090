"""Compiles the CUDA kernels for the emulator with g++, again only where a source has changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from fastcount.files import atomic_write

REPOSITORY = Path(__file__).resolve().parents[2]
CSRC = REPOSITORY / "csrc"
BUILD = REPOSITORY / "build" / "emulator"
COMPILER = os.environ.get("CXX", "g++")
TORCH = Path(torch.__file__).parent

_FLAGS = [
    "-std=c++20",
    "-O2",
    "-g1",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-gnu-unique",
    "-DFASTCOUNT_EMULATOR",
    "-DTORCH_TARGET_VERSION=0x020B000000000000",
    f"-I{CSRC}",
    f"-isystem{TORCH / 'include'}",
]
#: An error ends the process, so that a test in a subprocess fails.
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]


def kernel_sources() -> list[Path]:
    """Every CUDA kernel, and one file of all their bindings and the index of the operators.

    Together, because reading torch's headers takes a compiler longer than the bindings themselves.
    """
    bindings = [
        *sorted(CSRC.glob("bindings/torch/cuda/*.cpp")),
        CSRC / "bindings" / "torch" / "ops.cpp",
    ]
    together = BUILD / "bindings.cpp"
    with atomic_write(together, "w") as file:
        file.writelines(f'#include "{path}"\n' for path in bindings)
    return [*sorted(CSRC.glob("cuda/*.cu")), together]


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


def build_library(sources: list[Path], *, sanitize: bool = False) -> Path:
    """A shared library of these sources and the emulator.

    A failed compilation raises ``subprocess.CalledProcessError``; the compiler's words are on
    stderr.
    """
    flags = SANITIZE if sanitize else []
    everything = [*sources, *sorted(CSRC.glob("emulator/*.cpp"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        command = [COMPILER, *_FLAGS, *flags, "-x", "c++"]
        objects = list(pool.map(lambda source: _compile(source, command), everything))
    target = BUILD / f"emulated-{_digest(*flags, *(_contents([each]) for each in objects))}.so"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.so")
        command = [COMPILER, "-shared", *flags, *map(str, objects)]
        libraries = [f"-L{TORCH / 'lib'}", "-ltorch_cpu", "-lc10"]
        subprocess.run([*command, *libraries, "-o", str(part)], check=True)
        part.rename(target)
    return target


def sanitizer_runtime() -> str:
    """What must be preloaded where a sanitized library is loaded; the second so that exceptions
    find their way past the first."""
    libraries = []
    for name in ("libasan.so", "libstdc++.so.6"):
        command = [COMPILER, f"-print-file-name={name}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        libraries.append(str(Path(found.stdout.strip()).resolve()))
    return " ".join(libraries)
