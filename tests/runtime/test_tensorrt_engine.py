"""How the TensorRT engine keeps two batches in flight, on stand-ins; no TensorRT runs here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fake_tensorrt
import numpy as np
import pytest

from fastcount.runtime import Counter, TileResult, Tiling
from fastcount.runtime.description import Description, Zoom
from fastcount.runtime.exported import Inputs, Outputs
from fastcount.runtime.tensorrt_engine import TensorrtEngine
from fastcount.runtime.zooming import Seen, look_again

DESCRIPTION = Description("sum", Tiling(tile=(64, 64), margin=0, align=16, fill=(0, 0, 0)), None)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TensorrtEngine:
    fake_tensorrt.install(monkeypatch)
    (tmp_path / "m.plan").write_bytes(b"plan")
    description = Description("sum", DESCRIPTION.tiling, None, batch=1)
    return TensorrtEngine(tmp_path / "m.plan", description=description)


def test_two_batches_are_in_flight(engine: TensorrtEngine) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (5, 16, 32, 3), np.uint8)
    fake_tensorrt.EVENTS.clear()
    results = engine.run(tiles)
    assert [one.count for one in results] == tiles.sum(axis=(1, 2, 3)).tolist()
    events = [event for event in fake_tensorrt.EVENTS if event not in ("push", "pop")]
    first, second = (event.removeprefix("run ") for event in events[:2])
    assert first != second
    assert events == [
        *(f"run {first}", f"run {second}", f"wait {first}"),
        *(f"run {first}", f"wait {second}", f"run {second}", f"wait {first}"),
        *(f"run {first}", f"wait {second}", f"wait {first}"),
    ]
    assert fake_tensorrt.EVENTS.count("push") == fake_tensorrt.EVENTS.count("pop") > 0


def test_a_counter_keeps_two_tiles_in_flight(engine: TensorrtEngine) -> None:
    fake_tensorrt.EVENTS.clear()
    picture = np.full((64, 64 * 5, 3), 3, np.uint8)
    assert Counter(engine)(picture).count == 3 * picture.size
    words = [event.partition(" ")[0] for event in fake_tensorrt.EVENTS if " " in event]
    assert words == ["run", *["run", "wait"] * 4, "wait"]


def test_who_stops_asking_leaves_nothing_in_flight(engine: TensorrtEngine) -> None:
    """What is still being written must not be given to the next picture."""
    fake_tensorrt.EVENTS.clear()
    batches = engine._networks(np.full((1, 16, 32, 3), n, np.uint8) for n in range(4))
    assert next(batches)["count"].tolist() == [0]
    batches.close()
    words = [event.partition(" ")[0] for event in fake_tensorrt.EVENTS if " " in event]
    assert words.count("run") == words.count("wait") == 2
    assert engine.run(np.full((1, 16, 32, 3), 7, np.uint8))[0].count == 7 * 16 * 32 * 3


def test_threads_wait_for_each_other(
    engine: TensorrtEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would write into the same slots."""
    inside, most = 0, 0
    computed = engine._computed

    def watched(batches: Iterator[Inputs], read: list[str]) -> Iterator[Outputs]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        yield from computed(batches, read)
        inside -= 1

    monkeypatch.setattr(engine, "_computed", watched)
    tiles = [np.full((1, 16, 32, 3), number, np.uint8) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = [results[0].count for results in threads.map(engine.run, tiles)]
    assert found == [number * 16 * 32 * 3 for number in range(4)]
    assert most == 1


def test_memory_is_kept_and_grows_with_the_input(engine: TensorrtEngine) -> None:
    counter = Counter(engine)
    picture = np.full((16, 32, 3), 7, np.uint8)
    assert counter(picture).count == 7 * picture.size
    held = len(fake_tensorrt.MEMORY)
    assert counter(picture).count == 7 * picture.size
    assert len(fake_tensorrt.MEMORY) == held
    large = np.full((64, 64, 3), 5, np.uint8)
    assert counter(large).count == 5 * large.size
    assert len(fake_tensorrt.MEMORY) > held
    with pytest.raises(ValueError, match="this plan takes no input of 80x32"):
        engine.run(np.zeros((1, 80, 32, 3), np.uint8))


def test_parts_are_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network runs with next to nothing for the other; the points are both networks'."""
    fake_tensorrt.install(monkeypatch)
    (tmp_path / "m.plan").write_bytes(b"two")
    description = replace(DESCRIPTION, batch=2, locates="points", zoom=Zoom(None))
    engine = TensorrtEngine(tmp_path / "m.plan", description=description)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)

    def look(parts: np.ndarray) -> list[Seen]:
        found = fake_tensorrt.looked({"images": picture[None], "parts": parts})
        return [
            Seen(points, scores)
            for points, scores in zip(found["zoomed_points"], found["zoomed_scores"], strict=True)
        ]

    corner = np.zeros((1, 2), np.float32)
    first = TileResult(1.0, points=corner, scores=np.full(1, 0.25, np.float32))
    known = look_again(first, np.ones((32, 32), np.float32), picture, look, Zoom(None))
    (result,) = engine.run(picture[None])
    assert result.count == known.count > 2
    np.testing.assert_array_equal(result.points, known.points)
    np.testing.assert_allclose(result.scores, known.scores, rtol=1e-5)


def test_a_plan_for_another_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorrt.install(monkeypatch)
    (tmp_path / "m.plan").write_bytes(b"of another GPU")
    with pytest.raises(ValueError, match=r"m\.plan was not built for this GPU"):
        TensorrtEngine(tmp_path / "m.plan", description=DESCRIPTION)
    with pytest.raises(ValueError, match=r"device: a \.plan file runs on 'cuda'.*got 'cpu'"):
        TensorrtEngine(tmp_path / "m.plan", "cpu", description=DESCRIPTION)
