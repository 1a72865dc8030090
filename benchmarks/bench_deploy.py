"""Deployed models beside eager PyTorch: one picture of 384x512 at a time, in one run.

    python -m pytest benchmarks/bench_deploy.py --benchmark-only

Tables of PyTorch (eager, channels last, compiled), ONNX Runtime and OpenVINO, float32, bfloat16
where OpenVINO and the CPU have it, and 8 bits, for ``crowd``, CSRNet and the backbone of DeepCount,
printed when all is done: pictures a second, memory, multiply-accumulates a second as a share of
what this machine's matrix product reaches in the same run, and the error of the count. Memory is
the most that a process of its own holds that loads the model and counts one picture.

No trained CSRNet or DeepCount is at hand. Theirs are random convolutions, He's, under a last layer
that is fitted by least squares to the counts of rendered crowds: that counts, roughly, what a
picture holds, so the share of the count that 8 bits get wrong means something. It says how these
architectures stand rounding, not how well they count. ``crowd``, which learned from photographs,
sees hardly anybody in rendered crowds: there the table tells no error of its count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from rich.table import Table

from fastcount import load
from fastcount.data.synthetic import render_crowd
from fastcount.export import (
    Options,
    ParityError,
    export_int8,
    export_onnx,
    export_openvino,
)
from fastcount.export.parity import Picture
from fastcount.models import CountingModel, create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.profile import profile_model
from fastcount.runtime.engine import Engine
from fastcount.shipped import shipped_path

SIZE = (384, 512)
MODELS = ("crowd", "deepcount", "csrnet")
TORCH = ("eager", "channels_last", "compiled")
DEPLOYED = ("onnxruntime", "onnxruntime int8", "openvino", "openvino bf16", "openvino int8")
MUST, GOAL = 6.0, 12.0  # times as fast as eager CSRNet, for DeepCount with a count within 2 %
OPTIONS: dict[str, dict[str, Any]] = {"deepcount": {"branches": []}, "csrnet": {}}
LEAST_COUNT = 10.0  # below it a share of the count says nothing
FITTED = 48  # rendered crowds that a last layer is fitted to

Pixels = NDArray[np.uint8]


def crowd_picture(seed: int) -> tuple[Pixels, int]:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(20, 300))
    return render_crowd(number, size=SIZE, rng=rng).image, number


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """A rendered crowd that nothing was fitted to or calibrated with."""
    return crowd_picture(10_000)[0]


@pytest.fixture(scope="module")
def calibration() -> list[Picture]:
    return [(f"crowd {seed}", crowd_picture(seed)[0]) for seed in range(20_000, 20_006)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed")


@cache
def matmul_rate() -> float:
    """Multiply-accumulates a second of a float32 matrix product, the best of a few."""
    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    best = min(_seconds(lambda: a @ b) for _ in range(12))
    return 1536**3 / best


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """Model files by name."""
    made = {"crowd": shipped_path("crowd")}
    for name, options in OPTIONS.items():
        torch.manual_seed(0)
        model = create_model(name, **options).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        fit_last_layer(model)
        made[name] = folder / f"{name}.safetensors"
        save_model(model, made[name], card={})
    return made


@torch.inference_mode()
def fit_last_layer(model: CountingModel) -> None:
    """Gives the last layer the weights whose counts of rendered crowds are closest to the truth."""
    last = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    handle = last.register_forward_pre_hook(lambda _, inputs: seen.append(_summed(inputs[0])))
    crowds = [crowd_picture(seed) for seed in range(FITTED)]
    for image, _ in crowds:
        model(as_input(image))
    handle.remove()
    features, counts = (
        torch.cat(seen).double(),
        torch.tensor([float(n) for _, n in crowds]).double(),
    )
    scale = features.square().mean().sqrt()
    # With a column of ones for the bias, which a map adds once a cell.
    ones = torch.full_like(features[:, :1], float(scale))
    design = torch.cat([features, ones], dim=1)
    ridge = 1e-3 * float(scale) ** 2 * len(design)
    gram = design.T @ design + ridge * torch.eye(design.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, design.T @ counts)
    cells = SIZE[0] * SIZE[1] / 64 if isinstance(last, torch.nn.Conv2d) else 1
    last.weight.copy_(weights[:-1].view(last.weight.shape))
    assert last.bias is not None
    last.bias.fill_(float(weights[-1] * scale) / cells)


def _summed(features: torch.Tensor) -> torch.Tensor:
    return features.sum(dim=(2, 3)) if features.ndim == 4 else features


def as_input(image: Pixels) -> torch.Tensor:
    return (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).contiguous()


class Rows:
    """What was measured, told at the end of the run."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, float]] = {}

    def add(self, benchmark: BenchmarkFixture, name: str, how: str, own: dict[str, float]) -> None:
        stats: Any = benchmark.stats
        median = float(stats.stats.median)
        rate = multiply_accumulates(name) / median
        row = {"pictures_a_second": 1 / median, "share_of_matmul": rate / matmul_rate()}
        self.rows[name, how] = row | own
        benchmark.extra_info.update(self.rows[name, how])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.rows:
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("model", "by", "pictures/s", "of the matrix product %", "memory MB"):
            table.add_column(heading, justify="left" if heading in ("model", "by") else "right")
        for heading in ("error of the count %", "times eager CSRNet"):
            table.add_column(heading, justify="right")
        rival = self.rows.get(("csrnet", "eager"))
        for (name, how), row in self.rows.items():
            error, memory = row.get("error_of_count"), row["memory_mb"]
            speed = row["pictures_a_second"]
            table.add_row(
                *(name, how, f"{speed:.2f}", f"{100 * row['share_of_matmul']:.0f}"),
                f"{memory:.0f}",
                "" if error is None else f"{100 * error:.2f}",
                "" if rival is None else f"{speed / rival['pictures_a_second']:.2f}",
            )
        console = Console(width=120)
        with console.capture() as captured:
            console.print(table)
        terminalreporter.section(f"deployed, {SIZE[0]}x{SIZE[1]}, one picture at a time")
        terminalreporter.write_line(captured.get())
        terminalreporter.write_line(self.verdict())

    def verdict(self) -> str:
        rival = self.rows.get(("csrnet", "eager"))
        good = {
            how: row["pictures_a_second"]
            for (name, how), row in self.rows.items()
            if name == "deepcount" and row.get("error_of_count", 1.0) <= 0.02
        }
        if rival is None or not good:
            return "DeepCount's backbone beside eager CSRNet: not measured, or no count within 2 %"
        best = max(good, key=good.__getitem__)
        times = good[best] / rival["pictures_a_second"]
        met = "the goal" if times >= GOAL else "the must" if times >= MUST else "short of the must"
        return (
            f"DeepCount's backbone by {best}, its count within 2 %: {times:.2f} times eager "
            f"CSRNet; {met} (must {MUST:g}, goal {GOAL:g})"
        )


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Rows:
    made = Rows()
    request.config.pluginmanager.register(made)
    return made


def build(path: Path) -> CountingModel:
    return load_model(path).eval()


@cache
def multiply_accumulates(name: str) -> float:
    """Of one picture, in convolutions as the paper counts them, whatever runs them."""
    model = build(shipped_path(name)) if name == "crowd" else create_model(name, **OPTIONS[name])
    return 1e6 * profile_model(model.eval(), SIZE).mmacs


@pytest.mark.benchmark(min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize("name", MODELS)
def test_torch(
    benchmark: BenchmarkFixture,
    picture: Pixels,
    files: dict[str, Path],
    folder: Path,
    rows: Rows,
    name: str,
    how: str,
) -> None:
    benchmark.group = f"{name} deployed"
    run, images = in_torch(files[name], picture, how)
    with torch.inference_mode():
        output = benchmark(run, images)
    assert torch.isfinite(output.count).all()
    rows.add(
        benchmark, name, how, {"memory_mb": memory(WITH_TORCH, files[name], picture, how, folder)}
    )


def in_torch(path: Path, picture: Pixels, how: str) -> tuple[Any, torch.Tensor]:
    model, images = build(path), as_input(picture)
    if how != "eager":
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    return (torch.compile(model) if how == "compiled" else model), images


@pytest.mark.benchmark(min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("how", DEPLOYED)
@pytest.mark.parametrize("name", MODELS)
def test_fastcount(
    benchmark: BenchmarkFixture,
    picture: Pixels,
    calibration: list[Picture],
    files: dict[str, Path],
    folder: Path,
    rows: Rows,
    name: str,
    how: str,
) -> None:
    benchmark.group = f"{name} deployed"
    with torch.inference_mode():
        exact = float(build(files[name])(as_input(picture)).count)
    path = folder / f"{name} {how}{'.xml' if how.startswith('openvino') else '.onnx'}"
    try:
        deploy(files[name], path, picture, calibration)
    except ParityError as error:  # too far off to be used: nothing to time
        pytest.skip(f"{name} by {how}: {error}")
    engine: Engine = load(path, "cpu").engine
    (result,) = benchmark(engine.run, picture[None])
    own = {"memory_mb": memory(WITHOUT_TORCH, path, picture, how, folder)}
    if exact >= LEAST_COUNT:
        own["error_of_count"] = abs(result.count - exact) / exact
    rows.add(benchmark, name, how, own)


def deploy(model: Path, path: Path, picture: Pixels, calibration: list[Picture]) -> None:
    """Writes the file, checked beside PyTorch on ``picture``."""
    pictures, options = [("crowd", picture)], Options(size=SIZE, batch=1)
    pytest.importorskip("openvino" if path.suffix == ".xml" else "onnxruntime")
    if "int8" in path.stem:
        export_int8(build(model), path, pictures, calibration, options)
    elif path.suffix == ".xml":
        options = replace(options, bfloat16="bf16" in path.stem)
        export_openvino(build(model), path, pictures, options)
    else:
        export_onnx(build(model), path, pictures, options)


WITHOUT_TORCH = """
import sys
import numpy
import fastcount
fastcount.load(sys.argv[1], "cpu").engine.run(numpy.load(sys.argv[2])[None])
"""
WITH_TORCH = """
import sys
import numpy, torch
from bench_deploy import Path, in_torch
run, images = in_torch(Path(sys.argv[1]), numpy.load(sys.argv[2]), sys.argv[3])
with torch.inference_mode():
    run(images)
"""
# Not getrusage: its peak is that of the process that started this one, if larger.
PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"


def memory(script: str, path: Path, picture: Pixels, how: str, folder: Path) -> float:
    """The most that a process of its own holds that loads the model and counts once, in MB."""
    np.save(folder / "picture.npy", picture)
    done = subprocess.run(
        [sys.executable, "-c", script + PEAK, path, folder / "picture.npy", how],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    return float(done.stdout.split()[-1]) / 1024
