"""What ``make gpu-check`` leaves behind: a record that says whether there was a GPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu_check.py"


@pytest.fixture
def gpu_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def pretend(monkeypatch: pytest.MonkeyPatch, gpu_check: ModuleType, device: dict[str, str]) -> None:
    found = {"torch": "2.11.0", "torch_cuda": "13.0", "gpu": None} | device
    monkeypatch.setattr(
        gpu_check,
        "_words",
        lambda command: json.dumps(found) if command[0] == sys.executable else "words",
    )


def test_no_gpu_is_a_record_that_says_so(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, gpu_check, {})
    assert gpu_check.main() == 2
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("no-gpu-")
    record = json.loads(path.read_text())
    assert record["gpu"] is None
    assert record["why_no_gpu"] == "torch finds no CUDA device"
    assert record["steps"] == {}


def test_a_failed_step_is_kept_with_its_words_and_fails_the_whole(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, gpu_check, {"gpu": "NVIDIA H200", "compute": "9.0"})
    failing = [sys.executable, "-c", "print('the compiler is missing'); raise SystemExit(3)"]
    step = gpu_check.Run.step
    monkeypatch.setattr(
        gpu_check.Run, "step", lambda run, name, command, **_: step(run, name, failing)
    )
    assert gpu_check.main() == 1
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("nvidia-h200-")
    record = json.loads(path.read_text())
    assert list(record["steps"]) == ["build"]  # nothing is tested that was not built
    assert not record["steps"]["build"]["passed"]
    assert "the compiler is missing" in record["steps"]["build"]["output"]


def test_a_step_that_outlasts_its_share_is_stopped(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gpu_check.LIMITS, "tests", 1)
    run = gpu_check.Run()
    outcome = run.step("tests", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert outcome["output"] == "stopped after 1 s"
    assert outcome["seconds"] < 30
