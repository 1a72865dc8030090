"""Importing the package is quick, and counting without PyTorch stays without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fastcount


def loaded_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_package_alone_imports_nothing_heavy() -> None:
    loaded = loaded_after("import fastcount")
    assert not loaded & {"torch", "numpy", "PIL", "scipy", "rich", "typer"}


def test_the_package_is_imported_in_no_time() -> None:
    script = (
        "import time\nt = time.process_time()\nimport fastcount\nprint(time.process_time() - t)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 0.3


@pytest.mark.parametrize(
    "statement",
    [
        "from fastcount import Counter, Counting",
        "import fastcount.runtime, fastcount.pictures, fastcount.overlay, fastcount.files",
        "import fastcount.cli",
        "import fastcount.shipped",
    ],
)
def test_no_torch(statement: str) -> None:
    assert "torch" not in loaded_after(statement)


def test_the_doctor_leans_on_nothing_that_it_examines() -> None:
    loaded = loaded_after("import fastcount.cli.doctor")
    assert not loaded & {"torch", "numpy", "onnxruntime", "fastcount.runtime", "fastcount.ops"}


def test_loading_a_model_needs_no_training_packages() -> None:
    loaded = loaded_after("import fastcount; fastcount.load; fastcount.create_model")
    assert not loaded & {"torchvision", "lightning", "torchmetrics", "scipy", "timm", "cv2"}


def test_every_public_name_is_there() -> None:
    for name in fastcount.__all__:
        assert getattr(fastcount, name) is not None
        assert name in dir(fastcount)
    with pytest.raises(AttributeError, match="no attribute 'conut'"):
        fastcount.conut  # noqa: B018


def test_every_operator_has_its_reference() -> None:
    ops = pytest.importorskip("fastcount.ops")
    operators = set(ops.__all__) - {"Peaks", "PaddedPeaks", "reference"}
    assert operators == set(ops.reference.__all__)
