"""After the timings: for each group of benchmarks, how fastcount stands beside its peers.

A test with "fastcount" in its name is ours, every other test of the group is a peer's. A peer that
is not installed is named with the reason. ``extra_info["scale"]`` says that a run did only a part
of the work; the time printed is multiplied by it and marked as extrapolated. The machine's ceilings
are measured in the same run. ``extra_info["bytes"]`` and ``extra_info["operations"]`` are what one
of our calls must move and compute at least, as the kernel's file says; the shares of the ceilings
that they make are printed. A multiply-add is one operation; one in float64 counts twice, because a
vector holds half as many. What lies in a cache can be moved faster than memory copies: a share of
copying may pass 100 %.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
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
    limits = ceilings()
    terminalreporter.write_line(str(limits))
    for group in config.stash.get(_GROUPS, []):
        for line in shares(*group, limits):
            terminalreporter.write_line(line)
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            terminalreporter.write_line(f"not compared: {report.nodeid}: {report.longrepr[2]}")


@dataclass(frozen=True)
class Ceilings:
    """What this machine's memory and arithmetic can do at most, in as many threads as torch has."""

    copied: float  # bytes a second, read and written both counted
    operations: float  # multiply-adds a second of a float32 matrix product
    threads: int

    def __str__(self) -> str:
        return (
            f"ceilings, {self.threads} threads: copying {self.copied / 1e9:.1f} GB/s read and "
            f"written, float32 matrix product {2 * self.operations / 1e9:.0f} GFLOP/s"
        )


def ceilings() -> Ceilings:
    source = torch.rand(1 << 26)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / _least_time(lambda: target.copy_(source))
    side = 1536
    factor = torch.rand(side, side)
    products = side**3 / _least_time(lambda: factor @ factor)
    return Ceilings(copied, products, torch.get_num_threads())


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


def shares(name: str | None, benchmarks: list[dict[str, Any]], limits: Ceilings) -> list[str]:
    """A line for each of our entries on the CPU that says its floor: what share it reached."""
    lines = []
    for mine in benchmarks:
        floor = mine["extra_info"]
        if "fastcount" not in mine["name"] or (mine.get("params") or {}).get("device") == "cuda":
            continue
        told = []
        for key, limit, ceiling in (
            ("bytes", limits.copied, "copying"),
            ("operations", limits.operations, "the matrix product"),
        ):
            if key in floor:
                share = float(floor[key]) / _median(mine) / limit
                told.append(f"{_count(floor[key])} {key}, {100 * share:.3g} % of {ceiling}")
        if told:
            lines.append(f"floor of {name or ''}: {mine['name']}: {'; '.join(told)}")
    return lines


def _count(number: float) -> str:
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.0f}"


def _median(benchmark: dict[str, Any]) -> float:
    return float(benchmark["median"]) * float(benchmark["extra_info"].get("scale", 1))


def _told(benchmark: dict[str, Any]) -> str:
    scale = float(benchmark["extra_info"].get("scale", 1))
    spread = 1e3 * float(benchmark["iqr"]) * scale
    note = ", extrapolated" if scale != 1 else ""
    return f"{benchmark['name']} {1e3 * _median(benchmark):.3g} ms (iqr {spread:.2g}{note})"
