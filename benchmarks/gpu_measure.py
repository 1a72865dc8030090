"""What a GPU does with the operators; benchmarks/gpu_check.py runs this and keeps its answer.

    python benchmarks/gpu_measure.py graphs|measurements OUT.json

``graphs``: each operator is captured into a CUDA graph, replayed on new input and held against the
same call outside the graph. ``measurements``: this GPU's copy bandwidth and matrix product rates,
then the time of each operator, its least traffic (the floor: what must be read and written once)
and which share of the copy bandwidth that makes.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcount import ops

native = torch.ops.fastcount
HEIGHT, WIDTH, BATCH, POINTS = 1024, 1024, 16, 1000


@dataclass(frozen=True)
class Case:
    """One call of an operator without checks on the host; ``floor`` in bytes, None: no limit."""

    name: str
    inputs: Callable[[int], tuple[Tensor, ...]]  # from a seed
    call: Callable[..., Any]
    floor: int | None


def _random(
    seed: int, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.rand(*shape, generator=generator, device="cuda", dtype=dtype) * scale


def _maps(seed: int) -> tuple[Tensor, ...]:
    return (_random(seed, BATCH, 1, HEIGHT, WIDTH),)


def _points(seed: int) -> tuple[Tensor, ...]:
    return (_random(seed, BATCH * POINTS, 2, scale=WIDTH - 1.0, dtype=torch.float64),)


def _crowd(seed: int) -> tuple[Tensor, ...]:
    return (_random(seed, 12865, 2, scale=4000.0, dtype=torch.float64),)


def cases() -> list[Case]:
    pixels = BATCH * HEIGHT * WIDTH
    counts = [POINTS] * BATCH
    sigma = torch.full((BATCH * POINTS,), 5.0, device="cuda", dtype=torch.float64)
    grad = torch.ones(BATCH, 1, HEIGHT, WIDTH, device="cuda")
    most = torch.full((32, 20), 3, device="cuda")

    def density(stride: int) -> Callable[[Tensor], Any]:
        return lambda points: native.density_pyramid(
            points, sigma, counts, HEIGHT, WIDTH, [stride], 3.0, True, torch.float32
        )

    return [
        Case("density_map, stride 1", _points, density(1), 4 * pixels),
        Case("density_map, stride 8", _points, density(8), 4 * pixels // 64),
        Case(
            "gaussian_heatmap, sigma 2",
            _points,
            lambda points: native.gaussian_heatmap(
                points,
                sigma * 0.4,
                None,
                counts,
                HEIGHT,
                WIDTH,
                1,
                1,
                3.0,
                False,
                True,
                torch.float32,
            ),
            4 * pixels,
        ),
        Case(
            "knn_distance, 12,865 points",
            _crowd,
            lambda p: native.knn_distance(p, [12865], 4),
            None,
        ),
        Case(
            "cross_label",
            _points,
            lambda p: native.cross_label(p, counts, HEIGHT, WIDTH),
            4 * pixels,
        ),
        Case(
            "neighbour_distance_map",
            _points,
            lambda p: native.neighbour_distance_map(p, counts, HEIGHT, WIDTH, 3, 1),
            8 * pixels,
        ),
        Case(
            "find_peaks_padded, 3 x 3",
            _maps,
            lambda m: native.find_peaks_padded(m, 3, 0.999, False, 1000),
            4 * pixels,
        ),
        Case(
            "find_peaks_padded, 3 x 3, every pixel above the threshold",
            _maps,
            lambda m: native.find_peaks_padded(m, 3, 0.0, False, 1000),
            4 * pixels,
        ),
        Case("spatial_softmax", _maps, lambda m: native.spatial_softmax(m, 3, 100.0), 8 * pixels),
        Case("soft_count", _maps, lambda m: native.soft_count(m, 3, 100.0, 15.0, 0.8), 8 * pixels),
        Case(
            "soft_count, backward",
            _maps,
            lambda m: native.soft_count_backward(grad, None, m, 3, 100.0, 15.0, 0.8),
            12 * pixels,
        ),
        Case(
            "mask_focal_loss",
            lambda seed: (*_maps(seed), *_maps(seed + 100)),
            lambda pred, target: native.focal_loss(
                pred, target, None, 2, 0, False, 1.0, 0.5, 4.0, 1e-6, None, True, False
            ),
            8 * pixels,
        ),
        Case("peak_map", _maps, lambda m: native.peak_map(m, m, 1), 8 * pixels),
        Case(
            "top_peaks_mask, 32 x 20 maps of 14 x 14",
            lambda seed: (_random(seed, 32, 20, 14, 14),),
            lambda m: native.top_peaks_mask(m, most),
            8 * 32 * 20 * 14 * 14,
        ),
    ]


def _tensors(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def graph_outcome(case: Case) -> str:
    """Empty where a replay on new input equals the plain call, bit by bit; else what went wrong."""
    held = case.inputs(1)
    stream = torch.cuda.Stream()
    try:
        with torch.cuda.stream(stream):
            case.call(*held)  # allocations and lazy loading happen outside the capture
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = _tensors(case.call(*held))
        for old, new in zip(held, case.inputs(2), strict=True):
            old.copy_(new)
        graph.replay()
        torch.cuda.synchronize()
        plain = _tensors(case.call(*case.inputs(2)))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    same = all(torch.equal(a, b) for a, b in zip(captured, plain, strict=True))
    return "" if same else "the replay differs from the plain call"


def milliseconds(work: Callable[[], Any], runs: int = 30) -> dict[str, float]:
    for _ in range(3):
        work()
    times = []
    for _ in range(runs):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    low, median, high = statistics.quantiles(times, n=4)
    return {"median_ms": round(median, 4), "iqr_ms": round(high - low, 4)}


def copy_bandwidth() -> float:
    """GB/s of a copy on the device, bytes read and written both counted."""
    source = torch.empty(2**28, device="cuda")
    target = torch.empty_like(source)
    time = milliseconds(lambda: target.copy_(source))["median_ms"]
    return round(2 * source.numel() * source.element_size() / time / 1e6, 1)


def ceilings() -> dict[str, float]:
    """What this GPU does at best: GB/s of a copy, TFLOP/s of matrix products."""
    found = {"copy_gb_s": copy_bandwidth()}
    side = 8192
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.randn(side, side, device="cuda").to(dtype)
        time = milliseconds(lambda a=a: a @ a, runs=10)["median_ms"]
        found[f"matmul_{str(dtype).removeprefix('torch.')}_tflop_s"] = round(
            2 * side**3 / time / 1e9, 1
        )
    return found


def measurements() -> dict[str, Any]:
    limits = ceilings()
    found: dict[str, Any] = {"ceilings": limits, "operators": {}}
    for case in cases():
        inputs = case.inputs(1)
        try:
            timed: dict[str, Any] = milliseconds(
                lambda case=case, inputs=inputs: case.call(*inputs)
            )
        except RuntimeError as error:
            found["operators"][case.name] = {"error": str(error).splitlines()[0]}
            continue
        if case.floor is not None:
            rate = case.floor / timed["median_ms"] / 1e6
            timed |= {"floor_bytes": case.floor, "floor_gb_s": round(rate, 1)}
            timed["share_of_copy"] = round(rate / limits["copy_gb_s"], 3)
        found["operators"][case.name] = timed
    scores = _maps(1)[0]
    found["find_peaks with its one wait"] = milliseconds(
        lambda: ops.find_peaks(scores, threshold=0.999)
    )
    return found


def main() -> int:
    what, out = sys.argv[1], Path(sys.argv[2])
    if what == "graphs":
        outcomes = {case.name: graph_outcome(case) for case in cases()}
        out.write_text(json.dumps({name: words or "passed" for name, words in outcomes.items()}))
        return int(any(outcomes.values()))
    found = measurements()
    out.write_text(json.dumps(found))
    return int(any("error" in each for each in found["operators"].values()))


if __name__ == "__main__":
    sys.exit(main())
