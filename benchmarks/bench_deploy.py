"""Deployed models beside eager PyTorch: one picture of 384x512 at a time, in one run.

    python -m pytest benchmarks/bench_deploy.py --benchmark-only

Tables of PyTorch (eager, channels last, compiled), ONNX Runtime and OpenVINO, float32 and 8 bits,
for ``crowd``, CSRNet and DeepCount. The latter two have random weights: speed does not depend on
them. Each row's ``extra_info`` says its multiply-accumulates a second as a share of what this
machine's matrix product reaches in the same run, and the process's memory.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from fastcount.data.synthetic import render_crowd
from fastcount.export import Options, ParityError, export_int8, export_onnx, export_openvino
from fastcount.export.openvino import convert
from fastcount.models import CountingModel, create_model
from fastcount.models.checkpoint import load_model
from fastcount.models.profile import profile_model
from fastcount.predict import TorchEngine
from fastcount.runtime.engine import Engine
from fastcount.runtime.onnx_engine import OnnxEngine
from fastcount.runtime.openvino_engine import OpenvinoEngine
from fastcount.shipped import shipped_path

SIZE = (384, 512)
MODELS = ("crowd", "deepcount", "csrnet")
TORCH = ("eager", "channels_last", "compiled")
DEPLOYED = ("onnxruntime", "onnxruntime int8", "openvino", "openvino int8")

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """A rendered crowd: something to count, and to calibrate 8 bits on."""
    return render_crowd(150, size=SIZE, rng=np.random.default_rng(0)).image


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


def build(name: str) -> CountingModel:
    torch.manual_seed(0)
    return (load_model(shipped_path(name)) if name == "crowd" else create_model(name)).eval()


def tell(benchmark: BenchmarkFixture, name: str) -> None:
    macs = 1e6 * profile_model(build(name), SIZE).mmacs
    stats: Any = benchmark.stats
    median = float(stats.stats.median)
    benchmark.extra_info["pictures_a_second"] = round(1 / median, 2)
    benchmark.extra_info["share_of_matmul"] = round(macs / median / matmul_rate(), 3)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of the process, so far
    benchmark.extra_info["most_memory_mb"] = round(most / 1024)


@pytest.mark.benchmark(min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize("name", MODELS)
def test_torch(benchmark: BenchmarkFixture, picture: Pixels, name: str, how: str) -> None:
    benchmark.group = f"{name} deployed"
    model = build(name)
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    if how != "eager":
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    else:
        images = images.contiguous()
    run: Any = torch.compile(model) if how == "compiled" else model
    with torch.inference_mode():
        output = benchmark(run, images)
    assert torch.isfinite(output.count).all()
    tell(benchmark, name)


@pytest.mark.benchmark(min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("how", DEPLOYED)
@pytest.mark.parametrize("name", MODELS)
def test_fastcount(
    benchmark: BenchmarkFixture, picture: Pixels, folder: Path, name: str, how: str
) -> None:
    benchmark.group = f"{name} deployed"
    with torch.inference_mode():
        images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        exact = float(build(name)(images).count)
    try:
        engine = deployed(folder, picture, name, how)
    except ParityError as error:  # too far off to be used: nothing to time
        pytest.skip(str(error))
    (result,) = benchmark(engine.run, picture[None])
    # Of ten objects where there are fewer, as export compares.
    error = abs(result.count - exact) / max(abs(exact), 10.0)
    benchmark.extra_info["error_of_count"] = round(error, 5)
    tell(benchmark, name)


def deployed(folder: Path, picture: Pixels, name: str, how: str) -> Engine:
    """The engine for a file that export checked beside PyTorch on ``picture``."""
    pictures, options = [("crowd", picture)], Options(size=SIZE, batch=1)
    package, _, precision = how.partition(" ")
    pytest.importorskip(package)
    path = folder / f"{name} {how}.onnx"
    beside = path.with_suffix(".xml")
    if precision:
        export_int8(build(name), path, pictures, pictures, options)
    elif package == "onnxruntime":
        export_onnx(build(name), path, pictures, options)
    else:
        export_openvino(build(name), beside, pictures, options)
    if package == "onnxruntime":
        return OnnxEngine(path, "cpu")
    if precision:
        graph, description = path.read_bytes(), OnnxEngine(path, "cpu").description
        convert(graph, beside, description, TorchEngine(build(name)), pictures)
    return OpenvinoEngine(beside)
