"""What a GPU does with the operators; benchmarks/gpu_check.py runs this and keeps its answer.

    python benchmarks/gpu_measure.py graphs|measurements|rivals OUT.json

``graphs``: each operator is captured into a CUDA graph, replayed on new input and held against the
same call outside the graph. ``measurements``: this GPU's copy bandwidth and matrix product rates,
then the time of each operator on 64 maps of 1024 x 1024, its least traffic (the floor: what must be
read and written once) and which share of the copy bandwidth that makes; and the density maps of 32
pictures of 768 x 1024 with 500 heads each. ``rivals``: each operator beside torch.compile of the
same result in plain torch, both in turn on the same input; the exit status says whether we were
right, whatever became of a rival.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_cases import Case, Scale, cases, native, tensors
from torch import Tensor

from fastcount import ops
from fastcount.files import atomic_write

FULL = Scale(batch=64, side=1024, points=1000, crowd=12865)
SMALL = Scale(batch=4, side=512, points=300, crowd=3000)


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
            captured = tensors(case.call(*held))
        for old, new in zip(held, case.inputs(2), strict=True):
            old.copy_(new)
        graph.replay()
        torch.cuda.synchronize()
        plain = tensors(case.call(*case.inputs(2)))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    same = all(torch.equal(a, b) for a, b in zip(captured, plain, strict=True))
    return "" if same else "the replay differs from the plain call"


def milliseconds(work: Callable[[], Any], runs: int = 30) -> dict[str, float]:
    """Of one call among several in a row, so that the GPU need not wait for the next to be asked
    for: about a millisecond's worth between two readings of the GPU's clock."""
    for _ in range(3):
        work()

    def timed(calls: int) -> float:
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            work()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / calls

    calls = max(1, min(20, round(1.0 / timed(1))))
    low, median, high = statistics.quantiles([timed(calls) for _ in range(runs)], n=4)
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


def share_of_copy(floor: int, median_ms: float, copy_gb_s: float) -> dict[str, float]:
    """The rate at which the floor was moved, and which share of a copy's that is."""
    rate = floor / median_ms / 1e6
    return {
        "floor_bytes": floor,
        "floor_gb_s": round(rate, 1),
        "share_of_copy": round(rate / copy_gb_s, 3),
    }


def batch_of_targets(
    pictures: int = 32, heads: int = 500, size: tuple[int, int] = (768, 1024), device: str = "cuda"
) -> dict[str, Callable[[], Any]]:
    """The density maps of a batch: by the public function, and by the kernels it calls."""
    generator = torch.Generator(device).manual_seed(1)
    limits = torch.tensor([size[1] - 1.0, size[0] - 1.0], device=device)
    unit = [torch.rand(heads, 2, generator=generator, device=device) for _ in range(pictures)]
    sets = [each * limits for each in unit]
    flat = torch.cat(sets).double()
    sigma = torch.full((len(flat),), 15.0, device=device, dtype=torch.float64)
    counts = [heads] * pictures
    return {
        "ops.density_map": lambda: ops.density_map(sets, size, sigma=15.0),
        "kernels": lambda: native.density_pyramid(
            flat, sigma, counts, *size, [1], 3.0, True, torch.float32
        ),
    }


def measurements() -> dict[str, Any]:
    limits = ceilings()
    found: dict[str, Any] = {"ceilings": limits, "operators": {}, "32 pictures of 500 heads": {}}
    for name, work in batch_of_targets().items():
        timed: dict[str, Any] = milliseconds(work)
        found["32 pictures of 500 heads"][name] = timed | {"under_1_ms": timed["median_ms"] < 1.0}
    for case in cases(FULL):
        inputs = case.inputs(1)
        try:
            timed = milliseconds(lambda case=case, inputs=inputs: case.call(*inputs))
        except RuntimeError as error:
            found["operators"][case.name] = {"error": str(error).splitlines()[0]}
            continue
        if case.floor is not None:
            timed |= share_of_copy(case.floor, timed["median_ms"], limits["copy_gb_s"])
        found["operators"][case.name] = timed
    scores = torch.rand(FULL.batch, 1, FULL.side, FULL.side, device="cuda")
    found["find_peaks with its one wait"] = milliseconds(
        lambda: ops.find_peaks(scores, threshold=0.999)
    )
    return found


def differs(case: Case, rival: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> str:
    """Empty where the rival gives what we give; else by how much it does not."""
    ours, theirs = tensors(case.call(*inputs))[0], rival(*inputs)
    # Sums that nearly cancel leave an error of their terms' size.
    size = max(1.0, float(ours.abs().max()))
    try:
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-4, atol=1e-5 * size)
    except AssertionError as error:
        return " ".join(str(error).split())
    return ""


def beside_rival(case: Case) -> dict[str, Any]:
    """The times of both. ``rival_failed``: it could not be run, or its result differs and ours is
    right; ``error``: ours is not, as plain torch in float64 has it, or could not be run."""
    assert case.rival is not None
    rival = case.rival
    inputs = case.inputs(1)
    try:
        ours = milliseconds(lambda: case.call(*inputs))
    except RuntimeError as error:
        return {"error": str(error).splitlines()[0]}
    found: dict[str, Any] = {"fastcount": ours}
    try:
        compiled = torch.compile(rival)
        words = differs(case, compiled, inputs)
        if words:
            wrong = differs(case, lambda *maps: rival(*(each.double() for each in maps)), inputs)
            if wrong:
                return found | {"error": f"our result differs from float64: {wrong}"}
            return found | {"rival_failed": f"its result differs: {words}"}
        theirs = milliseconds(lambda: compiled(*inputs))
    except Exception as error:  # compilers raise anything
        return found | {"rival_failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    ratio = theirs["median_ms"] / ours["median_ms"]
    return found | {"torch.compile": theirs, "times_faster": round(ratio, 2)}


def main() -> int:
    what, out = sys.argv[1], Path(sys.argv[2])
    if what == "graphs":
        outcomes = {case.name: graph_outcome(case) for case in cases(SMALL)}
        with atomic_write(out, "w") as file:
            json.dump({name: words or "passed" for name, words in outcomes.items()}, file)
        return int(any(outcomes.values()))
    # Rivals give float32 results, as we do.
    torch.backends.cudnn.allow_tf32 = False
    found: dict[str, Any] = {}
    if what == "measurements":
        found = measurements()
        with atomic_write(out, "w") as file:
            json.dump(found, file)
        return int(any("error" in each for each in found["operators"].values()))
    for case in cases(FULL):
        if case.rival is not None:
            found[case.name] = beside_rival(case)
            with atomic_write(out, "w") as file:  # compiling takes long: keep what there is
                json.dump(found, file)
    return int(any("error" in each for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
