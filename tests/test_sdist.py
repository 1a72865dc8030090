"""What a source distribution holds: all that a build out of it takes, and no tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
#: What lies in a checkout but is not part of it.
MADE = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The paths in a distribution that was made without CUDA."""
    folder = tmp_path_factory.mktemp("sdist")
    copy = folder / "copy"
    copy.mkdir()
    for name in ("csrc", "fastcount", "tests"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=MADE)
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(REPOSITORY / name, copy)
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=copy,
        env={**os.environ, "FASTCOUNT_CUDA": "0"},
        check=True,
        capture_output=True,
    )
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = [PurePosixPath(each.name) for each in tar if each.isfile()]
    return {str(PurePosixPath(*name.parts[1:])) for name in names}


def files_of(folder: str, *suffixes: str) -> set[str]:
    found = (path for path in (REPOSITORY / folder).rglob("*") if path.suffix in suffixes)
    return {path.relative_to(REPOSITORY).as_posix() for path in found}


def test_all_that_is_compiled_is_there(contents: set[str]) -> None:
    sources = files_of("csrc", ".h", ".cpp", ".cu") - files_of("csrc/emulator", ".h", ".cpp")
    assert len(sources) > 100
    assert sources - contents == set()


def test_all_that_is_installed_is_there(contents: set[str]) -> None:
    package = files_of("fastcount", ".py", ".pyi", ".html", ".onnx", ".safetensors", ".md")
    assert package - contents == set()
    assert "fastcount/py.typed" in contents


def test_nothing_else_is(contents: set[str]) -> None:
    tops = {PurePosixPath(name).parts[0] for name in contents}
    assert tops - {"fastcount.egg-info", "PKG-INFO", "setup.cfg"} == {
        *("LICENSE", "MANIFEST.in", "README.md", "csrc", "fastcount", "pyproject.toml", "setup.py")
    }
