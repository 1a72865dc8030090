"""After the timings: for each group of benchmarks, how fastcount stands beside its peers.

A test with "fastcount" in its name is ours, every other test of the group is a peer's. A peer that
is not installed is named with the reason. ``extra_info["scale"]`` says that a run did only a part
of the work; the time printed is multiplied by it and marked as extrapolated. The machine's ceilings
are measured in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch

_GROUPS = pytest.StashKey[list[tuple[str | None, list[dict[str, Any]]]]]()


@pytest.hookimpl(wrapper=True)
def pytest_benchmark_group_stats(config: pytest.Config) -> Generator[None, Any, Any]:
    groups = yield
    config.stash[_GROUPS] = groups
    return groups


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = [line for group in config.stash.get(_GROUPS, []) for line in compared(*group)]
    if not lines:
        return
    terminalreporter.section("fastcount beside its peers, the best first: medians, iqr")
    for line in lines:
        terminalreporter.write_line(line)
    terminalreporter.write_line(ceilings())
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            terminalreporter.write_line(f"not compared: {report.nodeid}: {report.longrepr[2]}")


def ceilings() -> str:
    """What this machine's memory and arithmetic can do at most, in as many threads as torch has."""
    source = torch.rand(1 << 26)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / _least_time(lambda: target.copy_(source))
    side = 1536
    factor = torch.rand(side, side)
    multiplied = 2 * side**3 / _least_time(lambda: factor @ factor)
    return (
        f"ceilings, {torch.get_num_threads()} threads: copying {copied / 1e9:.1f} GB/s read and "
        f"written, float32 matrix product {multiplied / 1e9:.0f} GFLOP/s"
    )


def _least_time(work: Callable[[], object]) -> float:
    times = []
    for _ in range(12):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def compared(name: str | None, benchmarks: list[dict[str, Any]]) -> list[str]:
    """A line for each of our entries of a group and each peer, the best peer first."""
    ours = [each for each in benchmarks if "fastcount" in each["name"]]
    peers = [each for each in benchmarks if "fastcount" not in each["name"]]
    lines = []
    for mine in ours:
        for peer in sorted(peers, key=_median):
            ratio = _median(peer) / _median(mine)
            verdict = "" if ratio >= 1 else " (slower)"
            lines.append(f"{name or ''}: {_told(mine)}; {_told(peer)}: {ratio:.2f}x{verdict}")
    return lines


def _median(benchmark: dict[str, Any]) -> float:
    return float(benchmark["median"]) * float(benchmark["extra_info"].get("scale", 1))


def _told(benchmark: dict[str, Any]) -> str:
    scale = float(benchmark["extra_info"].get("scale", 1))
    spread = 1e3 * float(benchmark["iqr"]) * scale
    note = ", extrapolated" if scale != 1 else ""
    return f"{benchmark['name']} {1e3 * _median(benchmark):.3g} ms (iqr {spread:.2g}{note})"
