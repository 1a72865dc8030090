"""``make gpu-check``: build for this machine's GPU, test on it, measure on it, keep a record.

Needs a GPU, a CUDA toolkit and torch >= 2.11 built for CUDA, and no network. Takes under ten
minutes: a step that outlasts its share is stopped, and the record says so. Tests need pytest; those
that need hypothesis or scipy are skipped where these are missing, which the record says too
(``missing_packages``, and in the tests' step ``skipped_because``). The record is
``benchmarks/results/<gpu>-<date>.json``; it is written after every step, so a run that breaks off
leaves what it had. Without a GPU the record is ``no-gpu-<date>.json`` and says why: whether a GPU
could be had is readable from the record. Exit 0: every step passed; 1: one did not; 2: no GPU.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
STAND_INS = REPOSITORY / "benchmarks" / "stand_ins"
PACKAGES = ("pytest", "hypothesis", "scipy")  # that tests use beside torch
BUDGET = 570.0  # seconds for everything
#: Seconds that a step may take at most; what is left of the budget may be less.
LIMITS = {
    "build": 240,
    "tests": 120,
    "graphs": 45,
    "measurements": 60,
    "rivals": 120,
    "sanitizer": 60,
}
#: Tests of what only the kernels do: unlike the operators' own they are no use on a CPU.
KERNELS_ALONE = ("narrow_types", "row_alignment", "invalid_points")
TESTS = ["tests/ops", *(f"tests/emulator/{name}.py" for name in KERNELS_ALONE)]
#: Every kernel on small inputs, few of them: the sanitizer slows a kernel down a hundredfold.
SANITIZED = (
    "cuda and (by_hand or few_points or the_edge or devices_equal or half_precision or lengths "
    "or counts_peaks or padding or plateau or highest or 37-dtype0 or 37-dtype2 or size2-dtype0 "
    "or 8-dtype2 or 30-200-dtype or 20-7-150-dtype or shape0-7-dtype)"
)
_DEVICE = """
import json, torch
found = {"torch": torch.__version__, "torch_cuda": torch.version.cuda}
if torch.cuda.is_available():
    device = torch.cuda.get_device_properties(0)
    found |= {"gpu": device.name, "compute": f"{device.major}.{device.minor}"}
    found |= {"memory_gib": round(device.total_memory / 2**30, 1)}
    found |= {"multiprocessors": device.multi_processor_count}
print(json.dumps(found))
"""


class Run:
    """The record so far, and the clock."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.record: dict[str, Any] = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            # A copy of the tree may come without its history.
            "commit": os.environ.get("FASTCOUNT_COMMIT") or _words(["git", "rev-parse", "HEAD"]),
            "changed": bool(_words(["git", "status", "--porcelain", "--untracked-files=no"])),
            "python": platform.python_version(),
            "machine": platform.platform(),
            "gpu": None,
            "steps": {},
        }

    def write(self) -> Path:
        name = self.record["gpu"] or "no gpu"
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        path = RESULTS / f"{slug}-{self.record['date'][:10]}.json"
        RESULTS.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.record, indent=2) + "\n")
        part.replace(path)
        return path

    def step(self, name: str, command: list[str], **variables: str) -> dict[str, Any]:
        """Run a command; keep its outcome, its time and, where it failed, its last words."""
        left = BUDGET - (time.monotonic() - self.started)
        limit = min(float(LIMITS[name.split(" ")[0]]), left)
        print(f"{name} ...", file=sys.stderr, flush=True)
        begin = time.monotonic()
        outcome: dict[str, Any] = {"passed": False}
        try:
            code, output = run_alone(command, max(limit, 1.0), variables)
            outcome["passed"] = code == 0
            if code != 0:
                outcome |= {"exit": code, "output": output[-4000:]}
        except subprocess.TimeoutExpired:
            outcome["output"] = f"stopped after {limit:.0f} s"
        except OSError as error:
            outcome["output"] = str(error)
        outcome["seconds"] = round(time.monotonic() - begin, 1)
        self.record["steps"][name] = outcome
        print(f"{name}: {'passed' if outcome['passed'] else 'FAILED'}", file=sys.stderr, flush=True)
        self.write()
        return outcome


def run_alone(command: list[str], limit: float, variables: dict[str, str]) -> tuple[int, str]:
    """Exit status and output. Whatever the command has started ends with it: a compiler or a test
    that goes on would run beside the measurements."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": python_path(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=limit)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def python_path(*more: Path) -> str:
    """The package is built in place, not installed."""
    path = [*map(str, more), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, path))


def _words(command: list[str]) -> str:
    """A command's output, empty where it cannot be had."""
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def find_gpu(run: Run) -> str | None:
    """Put what there is into the record; why nothing can be checked, or None where all is well."""
    found = _words([sys.executable, "-c", _DEVICE])
    if not found:
        return f"{sys.executable} cannot import torch: run with the Python that has it"
    run.record |= json.loads(found)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    run.record["driver"] = _words(query)
    run.record["nvcc"] = (_words(["nvcc", "--version"]).splitlines() or [""])[-1]
    if run.record["torch_cuda"] is None:
        return f"torch {run.record['torch']} is built without CUDA"
    if run.record["gpu"] is None:
        return "torch finds no CUDA device"
    if not run.record["nvcc"] and "CUDA_HOME" not in os.environ:
        return "there is no nvcc: put the CUDA toolkit's bin folder on the PATH or set CUDA_HOME"
    return None


def find_packages(run: Run) -> list[str]:
    """Which of the tests' packages are not here; the record says so."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    run.record["missing_packages"] = missing
    for name in missing:
        print(f"{name} is not installed: some tests are left out", file=sys.stderr)
    return missing


def pytest_variables(missing: list[str]) -> dict[str, str]:
    """The environment of pytest: hypothesis is imported by tests' files, so something must be."""
    return {"PYTHONPATH": python_path(STAND_INS)} if "hypothesis" in missing else {}


def outcomes(report: Path) -> dict[str, Any]:
    """The numbers of a JUnit report, and how many tests were skipped for which reason."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    found: dict[str, Any] = {
        key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
    }
    reasons = [each.get("message", "") for each in suite.iter("skipped")]
    return found | {"skipped_because": dict(collections.Counter(reasons))}


def without_pytest(run: Run, step: str) -> None:
    words = "pytest is not installed: nothing was tested; pip install pytest"
    run.record["steps"][step] = {"passed": False, "output": words}
    run.write()


def test_on_gpu(run: Run, missing: list[str]) -> None:
    """The operators' ordinary tests; those that name a device run on CUDA too."""
    if "pytest" in missing:
        without_pytest(run, "tests")
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", *TESTS, "-q", f"--junit-xml={report}"]
        command += ["-k", "cuda", "-p", "no:cacheprovider"]
        if importlib.util.find_spec("xdist") is not None:
            command += ["--numprocesses", str(min(8, os.cpu_count() or 1))]
        # One thread a process: the references run on the CPU, and the processes are many.
        variables = {"OMP_NUM_THREADS": "1", **pytest_variables(missing)}
        outcome = run.step("tests", command, **variables)
        if report.exists():
            outcome |= outcomes(report)
            # All skipped is no proof of anything.
            outcome["passed"] &= outcome["tests"] > outcome["skipped"]
    run.write()


def find_sanitizer() -> str | None:
    """On the PATH or in the toolkit: CUDA_HOME, or where nvcc, which may be a wrapper, has it."""
    homes = [os.environ.get("CUDA_HOME")]
    if shutil.which("nvcc"):
        dry_run = subprocess.run(["nvcc", "--dryrun", "x.cu"], capture_output=True, text=True)
        homes += [str(Path(bin).parent) for bin in re.findall(r"_HERE_=(\S+)", dry_run.stderr)]
    folders = [f"{home}/{name}" for home in homes if home for name in ("bin", "compute-sanitizer")]
    path = os.pathsep.join([os.environ.get("PATH", ""), *folders])
    return shutil.which("compute-sanitizer", path=path)


def sanitize(run: Run, missing: list[str]) -> None:
    if "pytest" in missing:
        without_pytest(run, "sanitizer")
        return
    tool = find_sanitizer()
    if tool is None:
        words = "compute-sanitizer is neither on the PATH nor in the CUDA toolkit"
        run.record["steps"]["sanitizer"] = {"passed": None, "absent": words}
        run.write()
        return
    for check in ("memcheck", "racecheck", "synccheck"):
        command = [tool, "--tool", check, "--error-exitcode", "9", "--target-processes", "all"]
        tests = [sys.executable, "-m", "pytest", *TESTS, "-q", "-k", SANITIZED]
        run.step(
            f"sanitizer {check}",
            [*command, *tests, "-p", "no:cacheprovider"],
            PYTORCH_NO_CUDA_MEMORY_CACHING="1",  # so that every tensor has its own bounds
            **pytest_variables(missing),
        )


def measure(run: Run, name: str, what: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        script = REPOSITORY / "benchmarks" / "gpu_measure.py"
        run.step(name, [sys.executable, str(script), what, str(out)])
        if out.exists():
            run.record[name] = json.loads(out.read_text())
    run.write()


def main() -> int:
    run = Run()
    missing = find_gpu(run)
    if missing is not None:
        run.record["gpu"] = None
        run.record["why_no_gpu"] = missing
        path = run.write()
        print(f"no GPU check: {missing}\nrecord: {path}", file=sys.stderr)
        return 2
    built = run.step(
        "build",
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        FASTCOUNT_CUDA="1",
        TORCH_CUDA_ARCH_LIST=run.record["compute"],
    )
    if built["passed"]:
        packages = find_packages(run)
        test_on_gpu(run, packages)
        measure(run, "graphs", "graphs")
        measure(run, "measurements", "measurements")
        measure(run, "rivals", "rivals")
        sanitize(run, packages)
    run.record["seconds"] = round(time.monotonic() - run.started, 1)
    path = run.write()
    # None: what a step needs is not here, which the record says; that is no failure.
    passed = all(step["passed"] is not False for step in run.record["steps"].values())
    print(f"{'passed' if passed else 'FAILED'}; record: {path}", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
