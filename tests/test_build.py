"""What setup.py decides, and that the built libraries are what they promise to be."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fastcount.ops import native

REPOSITORY = Path(__file__).resolve().parent.parent
#: pybind11 binds to one Python, and the file's name says to which.
RUNTIME = f"_C_numpy{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.fixture(scope="module")
def setup_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fastcount_setup", REPOSITORY / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake_nvcc(folder: Path, root: Path) -> None:
    """An nvcc on the PATH that, like some packages' wrappers, lives outside its toolkit."""
    folder.mkdir()
    script = folder / "nvcc"
    script.write_text(f"#!/bin/sh\necho '#$ _HERE_={root}/bin' >&2\n")
    script.chmod(0o755)


def test_toolkit_is_asked_for_its_root(
    setup_py: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvcc(tmp_path / "wrapper", tmp_path / "toolkit")
    monkeypatch.setenv("PATH", str(tmp_path / "wrapper"), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    assert setup_py.cuda_home() == str(tmp_path / "toolkit")


def test_no_nvcc_no_toolkit(
    setup_py: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    assert setup_py.cuda_home() is None


@pytest.mark.parametrize(
    ("choice", "home", "torch_cuda", "expected"),
    [
        ("", "/cuda", "13.0", True),
        ("", None, "13.0", False),
        ("", "/cuda", None, False),
        ("0", "/cuda", "13.0", False),
        ("1", "/cuda", "13.0", True),
    ],
)
def test_when_cuda_is_built(
    setup_py: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    home: str | None,
    torch_cuda: str | None,
    expected: bool,
) -> None:
    monkeypatch.setenv("FASTCOUNT_CUDA", choice)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked for a GPU"))
    assert setup_py.wants_cuda(home, torch_cuda) is expected


@pytest.mark.parametrize(
    ("choice", "home", "torch_cuda", "words"),
    [
        ("1", None, "13.0", "there is no nvcc"),
        ("1", "/cuda", None, "built without CUDA"),
        ("yes", "/cuda", "13.0", "FASTCOUNT_CUDA='yes'"),
    ],
)
def test_cuda_that_cannot_be_built_stops_the_build(
    setup_py: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    home: str | None,
    torch_cuda: str | None,
    words: str,
) -> None:
    monkeypatch.setenv("FASTCOUNT_CUDA", choice)
    with pytest.raises(SystemExit, match=words):
        setup_py.wants_cuda(home, torch_cuda)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("libcudart.so.12: cannot open shared object file", "built for another CUDA"),
        ("_C.abi3.so: undefined symbol: torch_parallel_for", "built for a newer torch"),
        ("_C.abi3.so: file too short", "broken or built for another machine"),
    ],
)
def test_a_failed_load_says_which_case_it_is(message: str, words: str) -> None:
    assert words in native._explain(Path("_C.abi3.so"), OSError(message))


def test_a_missing_library_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_PACKAGE", tmp_path)
    with pytest.raises(ImportError, match="is not built"):
        native._load_cpu()
    (tmp_path / "_C.abi3.so").write_bytes(b"not a library")
    with pytest.raises(ImportError, match="broken or built for another machine"):
        native._load_cpu()


def test_a_device_without_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cuda_error", "fastcount was built without CUDA")
    with pytest.raises(RuntimeError, match="no CUDA kernels: fastcount was built without CUDA"):
        native.require_device(torch.device("cuda"))
    with pytest.raises(RuntimeError, match="device=mps"):
        native.require_device(torch.device("mps"))


@pytest.mark.parametrize("name", ["_C", "_C_cuda"])
def test_the_library_keeps_to_the_stable_abi(name: str) -> None:
    """Any torch from 2.11 on and any Python will do."""
    library = native._find(name)
    if library is None:
        pytest.skip(f"{name} is not built")
    audit = [
        sys.executable,
        "-c",
        "import torch_abi_audit.cli as cli; raise SystemExit(cli.main())",
    ]
    done = subprocess.run(
        [*audit, "--json", "--check", "torch", str(library)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["bundled_libs"]
    assert found["torch"]["stable"]
    assert found["torch"]["unstable_symbols"] == []
    assert found["torch"]["min_torch_version"] == "2.11.0"
    assert library.name == f"{name}.abi3.so"


def functions_with(register: str, library: Path) -> set[str]:
    listing = ["objdump", "--disassemble", "--no-show-raw-insn", str(library)]
    done = subprocess.run(listing, capture_output=True, text=True, check=True)
    found, function = set(), ""
    for line in done.stdout.splitlines():
        if line.endswith(">:"):
            function = line
        elif register in line:
            found.add(function.split("<")[1].removesuffix(">:"))
    return found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="for x86-64 only")
@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump of binutils")
@pytest.mark.parametrize(("name", "least"), [("_C", 20), ("_C_numpy", 5)])
def test_wide_instructions_are_used_only_where_the_processor_has_them(
    name: str, least: int
) -> None:
    """A loop exists for plain x86-64, for AVX2 and for AVX-512, and the loader chooses: nothing
    outside the last may touch a register of 512 bits, or a machine with AVX2 only would stop."""
    library = native._find(name)
    assert library is not None
    avx512 = functions_with("%zmm", library)
    avx2 = functions_with("%ymm", library)
    assert len(avx512) > least
    assert all(name.endswith("x86_64_v4") for name in avx512), avx512
    assert all(name.endswith(("x86_64_v3", "x86_64_v4")) for name in avx2), avx2
    without = {name.removesuffix("_v4") + "_v3" for name in avx512} - avx2
    assert len(without) < len(avx512) // 4, without  # the same loops in AVX2


def test_pybind11_may_be_missing(setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every torch brings a copy of its headers."""
    monkeypatch.setitem(sys.modules, "pybind11", None)
    assert Path(setup_py.pybind11_include(), "pybind11", "numpy.h").is_file()


def build(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Builds a copy of the sources, cut down to what one operator needs."""
    copy = tmp_path / "copy"
    shutil.copytree(REPOSITORY / "csrc", copy / "csrc")
    (copy / "fastcount").mkdir()
    for pattern in ("bindings/torch/*.cpp", "bindings/torch/cuda/*.cpp", "cuda/*.cu"):
        for source in (copy / "csrc").glob(pattern):
            if source.stem not in ("ops", "gaussian_heatmap"):
                source.unlink()
    shutil.copy(REPOSITORY / "setup.py", copy)
    return subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=copy,
        env={**os.environ, "MAX_JOBS": "2", **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_build_without_cuda(tmp_path: Path) -> None:
    done = build(tmp_path, FASTCOUNT_CUDA="0")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    built = sorted(path.name for path in (tmp_path / "copy" / "fastcount").glob("*.so"))
    assert built == ["_C.abi3.so", RUNTIME]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("nvcc") is None or torch.version.cuda is None,
    reason="needs nvcc and a torch for CUDA",
)
def test_a_cuda_build_needs_no_gpu(tmp_path: Path) -> None:
    done = build(tmp_path, FASTCOUNT_CUDA="1", TORCH_CUDA_ARCH_LIST="8.0", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    built = sorted(path.name for path in (tmp_path / "copy" / "fastcount").glob("*.so"))
    assert built == ["_C.abi3.so", "_C_cuda.abi3.so", RUNTIME]
