"""Counting with engines whose right answers are known."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import DensityEngine, DotEngine, TotalEngine
from PIL import Image

from fastcount.pictures import PictureError
from fastcount.runtime import Counter, Tiling
from fastcount.runtime.engine import TileResult

PICTURE = np.random.default_rng(0).integers(0, 256, (301, 227, 3), np.uint8)
OVERLAP = Tiling(tile=(1024, 1024), margin=16, align=8, fill=(50, 60, 70))


@pytest.mark.parametrize("tile", [40, 64, 100, (128, 1024), (1024, 72)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_tiles_give_what_the_whole_gives(tile: int | tuple[int, int], batch_size: int) -> None:
    engine = DensityEngine(OVERLAP)
    whole = Counter(engine)(PICTURE)
    assert engine.shapes == [(1, 304, 232, 3)]
    assert whole.density is not None
    assert whole.density.shape == (38, 29)
    assert whole.stride == 8
    tiled = Counter(engine)(PICTURE, tile=tile, batch_size=batch_size)
    assert max(shape[0] for shape in engine.shapes) <= batch_size
    assert tiled.count == pytest.approx(whole.count, rel=1e-6)
    assert tiled.count == pytest.approx(float(tiled.density.sum()), rel=1e-6)  # type: ignore[union-attr]
    np.testing.assert_allclose(tiled.density, whole.density, rtol=1e-5)
    assert tiled.size == (301, 227)


def test_a_margin_too_short_changes_the_count() -> None:
    """So that the test above is known to see seams."""
    engine = DensityEngine(Tiling(tile=(1024, 1024), margin=0, align=8), reach=12)
    whole, tiled = Counter(engine)(PICTURE), Counter(engine)(PICTURE, tile=64)
    assert abs(tiled.count - whole.count) > 1e-3 * whole.count


def test_cells_beyond_the_picture_do_not_count() -> None:
    engine = DensityEngine(Tiling(align=32, fill=(255, 255, 255)), reach=0)
    counting = Counter(engine)(np.zeros((33, 30, 3), np.uint8))
    assert counting.density is not None
    assert counting.density.shape == (5, 4)
    # Rows 33 to 39 and columns 30, 31 of the last cells are fill: cells cut by the rim stay.
    assert counting.count == pytest.approx((7 * 32 + 2 * 33) / 1000, rel=1e-5)


@pytest.mark.parametrize("boxes", [False, True])
def test_every_dot_is_found_once_wherever_the_seams_are(boxes: bool) -> None:
    picture = np.zeros((150, 170, 3), np.uint8)
    spots = np.random.default_rng(1).permutation(150 * 170)[:2000]
    picture.reshape(-1, 3)[spots] = (255, 0, 0)
    engine = DotEngine(Tiling(margin=8, align=4, fill=(255, 0, 0)), boxes)
    counting = Counter(engine)(picture, tile=48)
    assert counting.count == 2000
    centres = counting.centres()
    assert centres is not None
    index = centres[:, 1] * 170 + centres[:, 0]
    np.testing.assert_array_equal(np.sort(index.astype(int)), np.sort(spots))
    assert counting.scores is not None
    assert counting.labels is not None
    np.testing.assert_array_equal(counting.labels, (255 + centres.sum(axis=1)).astype(np.int64) % 2)
    assert counting.per_class == {
        "even": float((counting.labels == 0).sum()),
        "odd": float((counting.labels == 1).sum()),
    }


@pytest.mark.parametrize("boxes", [False, True])
def test_a_dot_right_on_a_seam_is_found_once(boxes: bool) -> None:
    picture = np.full((60, 90, 3), (255, 0, 0), np.uint8)
    engine = DotEngine(Tiling(margin=8, align=4), boxes, shift=0.5)
    counting = Counter(engine)(picture, tile=32)
    centres = counting.centres()
    assert centres is not None
    places = np.rint(centres + 0.5).astype(int)
    assert len({tuple(place) for place in places.tolist()}) == len(places) == counting.count
    assert {tuple(place) for place in places.tolist()} >= {
        (x, y) for x in range(1, 90) for y in range(1, 60)
    }


def test_totals_are_shared_out_by_area() -> None:
    picture = np.full((200, 200, 3), 255, np.uint8)
    counting = Counter(TotalEngine(Tiling(margin=16, align=8)))(picture, tile=64)
    assert counting.count == pytest.approx(200 * 200)
    assert counting.density is None
    one = Counter(TotalEngine(OVERLAP))(picture)
    assert one.std == 1.0


def test_grid_adds_up_tiles_and_keeps_places() -> None:
    engine = DensityEngine(Tiling(mode="grid", tile=(48, 64)), reach=0)
    counting = Counter(engine)(PICTURE, batch_size=4)
    assert {shape[1:] for shape in engine.shapes} == {(48, 64, 3)}
    assert sum(shape[0] for shape in engine.shapes) == 7 * 4  # 227 / 64, 301 * 256 / 227 / 48
    assert counting.stride is not None


@pytest.mark.parametrize("boxes", [False, True])
def test_grid_scales_points_and_boxes_back(boxes: bool) -> None:
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[40:42, 60:62] = (255, 0, 0)
    engine = DotEngine(Tiling(mode="grid", tile=(192, 256)), boxes)
    counting = Counter(engine)(picture)
    centres = counting.centres()
    assert centres is not None
    assert centres.mean(axis=0) == pytest.approx([60.5, 40.5], abs=0.1)


def test_resize_scales_density_and_points_back() -> None:
    bright = np.zeros((100, 300, 3), np.uint8)
    bright[50:, :150] = 255
    tiling = Tiling(mode="resize", tile=(128, 128), align=32, fill=(0, 0, 0))
    engine = DensityEngine(tiling, reach=0)
    counting = Counter(engine)(bright)
    quarter = [(-0.5, 49.5), (149.5, 49.5), (149.5, 99.5), (-0.5, 99.5)]
    assert counting.zone(quarter) == pytest.approx(counting.count, rel=0.15)
    assert counting.count > 0


def test_lists_and_sources(tmp_path: Path) -> None:
    counter = Counter(DensityEngine(OVERLAP))
    path = tmp_path / "one.png"
    Image.fromarray(PICTURE).save(path)
    expected = counter(PICTURE).count
    file = io.BytesIO(path.read_bytes())
    sources = [path, str(path), file.getvalue(), Image.open(path), PICTURE]
    assert [counting.count for counting in counter(sources)] == [expected] * 5
    assert [counting.count for counting in counter(tuple(sources))] == [expected] * 5
    assert counter([]) == []
    assert counter(np.zeros((1, 1, 3), np.uint8)).size == (1, 1)


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    Counter(DensityEngine(OVERLAP))(
        PICTURE, tile=100, batch_size=2, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1][0] == seen[-1][1] > 2
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_errors_name_the_argument() -> None:
    counter = Counter(DensityEngine(OVERLAP))
    for tile in ("a", 600.0, (64, 64, 64), (600, 600.0)):
        with pytest.raises(TypeError, match="tile: expected pixels a side"):
            counter(PICTURE, tile=tile)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        counter(PICTURE, batch_size=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        counter(PICTURE, batch_size=0)
    with pytest.raises(PictureError, match="max_pixels"):
        counter(PICTURE, max_pixels=100)
    with pytest.raises(TypeError, match="source"):
        counter(None)  # type: ignore[call-overload]


def test_a_spoilt_model_is_not_believed() -> None:
    class Spoilt(DensityEngine):
        def run(self, batch: np.ndarray) -> list[TileResult]:
            return [TileResult(float("nan"))]

    with pytest.raises(ValueError, match="nan"):
        Counter(Spoilt(OVERLAP))(PICTURE)


def test_a_density_of_another_size_is_refused() -> None:
    class Wrong(DensityEngine):
        def run(self, batch: np.ndarray) -> list[TileResult]:
            return [TileResult(0.0, density=np.zeros((3, 3), np.float32), stride=8)]

    with pytest.raises(ValueError, match="3x3 cells of stride 8"):
        Counter(Wrong(OVERLAP))(PICTURE)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_a_huge_picture(tmp_path: Path) -> None:
    """20,000 x 20,000, from a file of 50 KB, with a NumPy network."""
    path = tmp_path / "huge.png"
    Image.new("1", (20_000, 20_000), 1).save(path)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from engines import TotalEngine\n"
        "from fastcount.runtime import Counter, Tiling\n"
        "count = Counter(TotalEngine(Tiling(margin=0)))(sys.argv[1]).count\n"
        "assert abs(count - 4e8) < 1, count\n"
        # not getrusage: its peak is that of the process that started this one, if larger
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", script, path, here], capture_output=True, text=True, check=True
    )
    # 400 MB decoded, 1,200 MB of RGB, and what an interpreter and a tile take
    assert int(done.stdout) < 1_800_000
