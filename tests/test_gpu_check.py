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


def test_missing_packages_are_named_and_their_tests_skipped(
    gpu_check: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu_check, "PACKAGES", ("pytest", "no_such_package"))
    run = gpu_check.Run()
    assert gpu_check.find_packages(run) == ["no_such_package"]
    assert run.record["missing_packages"] == ["no_such_package"]
    assert gpu_check.pytest_variables(["scipy"]) == {}

    test = tmp_path / "test_shapes.py"
    test.write_text(
        "from hypothesis import given, settings\n"
        "from hypothesis import strategies as st\n"
        "@settings(max_examples=3)\n"
        "@given(shape=st.lists(st.integers(0, 7)), data=st.data())\n"
        "def test_any(shape, data): raise AssertionError\n"
        "def test_plain(): pass\n"
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", str(test), f"--junit-xml={report}", "-q"]
    variables = gpu_check.pytest_variables(["hypothesis"]) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    outcome = run.step("tests", [*command, "-p", "no:cacheprovider"], **variables)
    assert outcome["passed"], outcome
    found = gpu_check.outcomes(report)
    assert (found["tests"], found["skipped"], found["failures"]) == (2, 1, 0)
    assert found["skipped_because"] == {"hypothesis is not installed": 1}


def test_without_pytest_the_check_fails_and_says_why(gpu_check: ModuleType) -> None:
    run = gpu_check.Run()
    gpu_check.test_on_gpu(run, ["pytest"])
    assert not run.record["steps"]["tests"]["passed"]
    assert "pytest is not installed" in run.record["steps"]["tests"]["output"]
