"""What ``make gpu-check`` leaves behind: a record that says whether there was a GPU."""

from __future__ import annotations

import collections
import dataclasses
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.emulator.test_operators import KERNELS_ALONE

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


def is_running(process: int) -> bool:
    """Neither gone nor dead and not yet buried."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("wait", ["", "time.sleep(60)"])
def test_nothing_that_a_step_started_outlives_it(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setitem(gpu_check.LIMITS, "tests", 3)
    child = tmp_path / "child"
    code = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)\n"
        f"open({str(child)!r}, 'w').write(str(started.pid))\n{wait}"
    )
    outcome = gpu_check.Run().step("tests", [sys.executable, "-c", code])
    assert outcome["passed"] is (wait == "")
    process = int(child.read_text())
    deadline = time.monotonic() + 10
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(process)


def test_the_sanitizer_is_looked_for_in_the_toolkit(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(path: Path, text: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    assert gpu_check.find_sanitizer() is None
    run = gpu_check.Run()
    gpu_check.sanitize(run, [])
    assert run.record["steps"]["sanitizer"]["passed"] is None  # absent is not failed
    assert "compute-sanitizer" in run.record["steps"]["sanitizer"]["absent"]

    toolkit = tmp_path / "toolkit"
    tool = make(toolkit / "bin" / "compute-sanitizer", "")
    make(tmp_path / "path" / "nvcc", f"echo '#$ _HERE_={toolkit}/bin' >&2")
    assert gpu_check.find_sanitizer() == tool
    (tmp_path / "path" / "nvcc").unlink()
    monkeypatch.setenv("CUDA_HOME", str(toolkit))
    assert gpu_check.find_sanitizer() == tool


def test_the_sanitizer_sees_a_few_tests_of_every_operator(gpu_check: ModuleType) -> None:
    assert gpu_check.KERNELS_ALONE == KERNELS_ALONE
    command = [sys.executable, "-m", "pytest", *gpu_check.TESTS, "-k", gpu_check.SANITIZED]
    listed = subprocess.run(
        [*command, "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=SCRIPT.parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    tests = [line.split("::")[0] for line in listed.stdout.splitlines() if "::" in line]
    chosen = collections.Counter(Path(each).stem.removeprefix("test_") for each in tests)
    operators = SCRIPT.parent.parent.glob("csrc/bindings/torch/cuda/*.cpp")
    files = {each.stem for each in operators} - {"focal_loss"} | {"focal_loss_inputs"}
    assert files < set(chosen)
    assert len(tests) < 80  # each takes a second under the sanitizer


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


@pytest.fixture
def gpu_measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("gpu_measure")


def test_what_is_measured_on_a_gpu_is_right_on_a_cpu(gpu_measure: ModuleType) -> None:
    scale = gpu_measure.Scale(batch=2, side=40, points=12, crowd=60, device="cpu")
    cases = gpu_measure.cases(scale)
    assert sum(case.rival is not None for case in cases) >= 10
    for case in cases:
        inputs = case.inputs(1)
        if case.rival is None:
            assert len(gpu_measure.tensors(case.call(*inputs))) > 0
        else:
            assert gpu_measure.differs(case, case.rival, inputs) == "", case.name


def test_a_wrong_rival_is_found(gpu_measure: ModuleType) -> None:
    scale = gpu_measure.Scale(batch=1, side=8, points=3, crowd=9, device="cpu")
    case = next(case for case in gpu_measure.cases(scale) if case.name == "spatial_softmax")
    words = gpu_measure.differs(case, lambda maps: 2 * maps, case.inputs(1))
    assert "not close" in words


def refused(rival: object) -> object:
    raise TypeError("no such backend\nand more")


@pytest.mark.parametrize(
    ("compiler", "ours", "keys"),
    [
        (lambda rival: rival, 1.0, {"fastcount", "torch.compile", "times_faster"}),
        (refused, 1.0, {"fastcount", "rival_failed"}),
        (lambda rival: lambda maps: 2 * rival(maps), 1.0, {"fastcount", "rival_failed"}),
        (lambda rival: rival, 2.0, {"fastcount", "error"}),
    ],
)
def test_only_our_own_mistakes_count(
    gpu_measure: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    compiler: Callable[[object], object],
    ours: float,
    keys: set[str],
) -> None:
    scale = gpu_measure.Scale(batch=1, side=8, points=3, crowd=9, device="cpu")
    case = next(case for case in gpu_measure.cases(scale) if case.name == "spatial_softmax")
    changed = dataclasses.replace(case, call=lambda maps: ours * case.call(maps))
    monkeypatch.setattr(gpu_measure, "cases", lambda _: [changed])
    monkeypatch.setattr(gpu_measure, "milliseconds", lambda _: {"median_ms": 1.0})
    monkeypatch.setattr(torch, "compile", compiler)
    record = tmp_path / "rivals.json"
    monkeypatch.setattr(sys, "argv", ["gpu_measure.py", "rivals", str(record)])
    assert gpu_measure.main() == ("error" in keys)
    found = json.loads(record.read_text())["spatial_softmax"]
    assert set(found) == keys
    if compiler is refused:
        assert found["rival_failed"] == "TypeError: no such backend"


def test_the_batch_of_targets_counts_its_heads(gpu_measure: ModuleType) -> None:
    ways = gpu_measure.batch_of_targets(pictures=3, heads=7, size=(50, 60), device="cpu")
    drawn = ways["ops.density_map"]()
    assert drawn.sum().item() == pytest.approx(21, rel=1e-5)
    torch.testing.assert_close(ways["kernels"]()[0], drawn)


def test_share_of_copy(gpu_measure: ModuleType) -> None:
    found = gpu_measure.share_of_copy(floor=3_000_000, median_ms=2.0, copy_gb_s=3.0)
    assert found == {"floor_bytes": 3_000_000, "floor_gb_s": 1.5, "share_of_copy": 0.5}
