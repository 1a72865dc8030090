"""What setup.py decides, and that the built libraries are what they promise to be."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fastcount.ops import native

REPOSITORY = Path(__file__).resolve().parent.parent


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


def test_the_library_keeps_to_the_stable_abi() -> None:
    """No C++ symbol of torch or c10 and none of torch_python: any torch from 2.11 on will do."""
    nm = shutil.which("nm")
    library = native._find("_C")
    if nm is None or library is None:
        pytest.skip("needs nm of binutils")
    done = subprocess.run(
        [nm, "--dynamic", "--undefined-only", "--demangle", str(library)],
        capture_output=True,
        text=True,
        check=True,
    )
    foreign = [line for line in done.stdout.splitlines() if " at::" in line or " c10::" in line]
    assert foreign == []
    assert "torch_call_dispatcher" in done.stdout
    assert library.name == "_C.abi3.so"


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
    assert built == ["_C.abi3.so"]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("nvcc") is None or torch.version.cuda is None,
    reason="needs nvcc and a torch for CUDA",
)
def test_a_cuda_build_needs_no_gpu(tmp_path: Path) -> None:
    done = build(tmp_path, FASTCOUNT_CUDA="1", TORCH_CUDA_ARCH_LIST="8.0", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    built = sorted(path.name for path in (tmp_path / "copy" / "fastcount").glob("*.so"))
    assert built == ["_C.abi3.so", "_C_cuda.abi3.so"]
