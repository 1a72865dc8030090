"""The native code of the runtime beside what it must equal: Pillow, torch and torchvision."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastcount.runtime import find_peaks, letterbox, native


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


def scaled(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    out = np.empty((*size, 3), np.uint8)
    native.cut(pixels, size, (0, 0), (0, 0, 0), out)
    return out


def by_pillow(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.int64]:
    image = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).astype(np.int64)


@pytest.mark.parametrize("zoom", [0.11, 0.5, 0.9, 1.0, 1.7, 6.3])
def test_scaling_in_proportion_gives_pillows_pixels(zoom: float) -> None:
    for height, width in [(1, 1), (120, 77), (61, 203), (300, 1)]:
        pixels = picture(height, width)
        size = (max(1, round(height * zoom)), max(1, round(width * zoom)))
        np.testing.assert_array_equal(scaled(pixels, size), by_pillow(pixels, size))


def test_any_scaling_is_pillows_within_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(60):
        height, width, *size = map(int, random.integers(1, 150, 4))
        pixels = picture(height, width)
        found = scaled(pixels, (size[0], size[1]))
        assert np.abs(found - by_pillow(pixels, (size[0], size[1]))).max() <= 1


def test_white_stays_white_where_whole_weights_add_up_to_more_than_one() -> None:
    line = np.full((1, 6_000_000, 3), 255, np.uint8)
    np.testing.assert_array_equal(scaled(line, (1, 1)), 255)


def test_a_window_is_cut_out_of_the_whole_and_filled_beyond() -> None:
    pixels = picture(90, 120)
    whole = scaled(pixels, (150, 210))
    out = np.empty((80, 64, 3), np.uint8)
    native.cut(pixels, (150, 210), (100, 160), (1, 2, 3), out)
    np.testing.assert_array_equal(out[:50, :50], whole[100:, 160:])
    assert (out[50:] == (1, 2, 3)).all()
    assert (out[:, 50:] == (1, 2, 3)).all()
    # out of a picture that is not contiguous, unscaled
    native.cut(pixels[:, ::2], (90, 60), (80, 10), (9, 9, 9), out[:40])
    np.testing.assert_array_equal(out[:10, :50], pixels[80:, 20::2])
    assert (out[10:40] == 9).all()


def test_threads_do_not_change_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(700, 900)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(scaled(pixels, (600, 999)))  # 19 strips: not two equal parts
    np.testing.assert_array_equal(*found)


def test_letterbox_scales_normalises_and_fills() -> None:
    pixels = picture(60, 100)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found, size = letterbox(pixels, (48, 64), mean=mean, std=std, fill=(10, 20, 30))
    assert (found.shape, found.dtype, size) == ((3, 48, 64), np.float32, (38, 64))
    inside = scaled(pixels, size).astype(np.float32) / 255
    expected = (inside - np.array(mean, np.float32)) / np.array(std, np.float32)
    np.testing.assert_array_equal(found[:, :38], expected.transpose(2, 0, 1))
    for channel, value in enumerate((10, 20, 30)):
        assert found[channel, 38:] == pytest.approx(
            (value / 255 - mean[channel]) / std[channel], rel=1e-6
        )
    assert letterbox(pixels, (60, 100)).pixels[1, 7, 8] == np.float32(pixels[7, 8, 1] / 255)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_peaks_are_those_of_the_operator(kind: Any) -> None:
    torch = pytest.importorskip("torch")
    from fastcount import ops

    random = np.random.default_rng(0)
    scores = random.integers(-4, 40, (2, 3, 70, 45)).astype(kind) / 32  # many ties
    scores[0, 0, 5, 6:9] = np.nan, np.inf, -np.inf
    for options in (
        {"kernel_size": 3},
        {"kernel_size": 7, "threshold": -1.0, "max_peaks": 5},
        {"kernel_size": 5, "smooth": 3, "threshold": 0.6},
    ):
        mine = find_peaks(scores, **options)
        theirs = ops.find_peaks(torch.from_numpy(scores), **options)
        assert mine.scores.dtype == kind
        assert len(mine.scores) > 0
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other.numpy())
    assert find_peaks(np.zeros((0, 1, 4, 4), np.float32)).points.shape == (0, 2)
    assert find_peaks(np.zeros((1, 1, 0, 4), np.float32)).points.shape == (0, 2)


def misaligned(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, each one byte off a multiple of its size."""
    moved = np.frombuffer(b" " + values.tobytes(), values.dtype, offset=1).reshape(values.shape)
    assert not moved.flags.aligned
    return moved


def test_numbers_at_any_address_are_read() -> None:
    scores = np.random.default_rng(0).random((1, 2, 9, 11))
    for one, other in zip(find_peaks(misaligned(scores)), find_peaks(scores), strict=True):
        np.testing.assert_array_equal(one, other)
    boxes, ranks = some_boxes(40, np.float32), np.arange(40, dtype=np.float32)
    np.testing.assert_array_equal(
        native.nms(misaligned(boxes), misaligned(ranks), misaligned(np.arange(40) % 2), 0.3),
        native.nms(boxes, ranks, np.arange(40) % 2, 0.3),
    )


def some_boxes(number: int, kind: Any) -> NDArray[Any]:
    random = np.random.default_rng(number)
    corners = random.integers(0, 120, (number, 2)).astype(kind)
    sides = random.integers(0, 30, (number, 2)).astype(kind)
    boxes = np.concatenate([corners, corners + sides], axis=1)
    boxes[::50, 2:] = 400.0  # a few that cover all
    boxes[7::90] = boxes[7::90][:, [2, 3, 0, 1]]  # and some inside out
    return boxes


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("number", [1, 40, 1500])
def test_boxes_left_are_those_of_torchvision(number: int, kind: Any) -> None:
    torch = pytest.importorskip("torch")
    nms = pytest.importorskip("torchvision.ops").nms
    boxes = some_boxes(number, kind)
    scores = np.random.default_rng(1).integers(0, 60, number).astype(kind)  # ties
    for threshold in (0.0, 0.3, 0.5, 1.0):
        expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
        found = native.nms(boxes, scores, None, threshold)
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    "boxes",
    [
        [[10, 0, 0, 10]],
        [[10, 0, 0, 0]],
        [[9, 40, 2, 0], [30, 7, 20, 9]],
        [[9, 0, 2, 8], [0, 1, 3, 4]],
    ],
)
def test_boxes_inside_out_stay_whatever_lies_beside_them(
    boxes: list[list[float]], kind: Any
) -> None:
    turned = np.array(boxes, kind)
    found = native.nms(turned, np.ones(len(turned), kind), None, 0.5)
    np.testing.assert_array_equal(found, np.arange(len(turned)))


def test_classes_do_not_suppress_each_other() -> None:
    torch = pytest.importorskip("torch")
    batched_nms = pytest.importorskip("torchvision.ops").batched_nms
    boxes = some_boxes(900, np.float32)
    random = np.random.default_rng(1)
    scores = random.permutation(900).astype(np.float32)
    labels = random.integers(0, 3, 900)
    found = native.nms(boxes, scores, labels, 0.4)
    expected = batched_nms(*map(torch.from_numpy, (boxes, scores, labels)), 0.4)
    np.testing.assert_array_equal(found, expected.numpy())
    assert len(found) > len(native.nms(boxes, scores, None, 0.4))
    assert len(native.nms(boxes[:0], scores[:0], labels[:0], 0.4)) == 0


def test_a_core_is_placed_and_summed() -> None:
    tile = np.random.default_rng(0).random((50, 33), np.float32)
    cells = np.full((60, 60), -1, np.float32)
    found, kept = native.place_core(tile, (3, 40, 5, 30), cells, (20, 31))
    np.testing.assert_array_equal(cells[20:57, 31:56], tile[3:40, 5:30])
    assert (cells < 0).sum() == 60 * 60 - 37 * 25
    assert found == pytest.approx(float(tile.sum(dtype=np.float64)), rel=1e-12)
    assert kept == pytest.approx(float(tile[3:40, 5:30].sum(dtype=np.float64)), rel=1e-12)
    assert native.place_core(tile, (0, 0, 0, 0), cells, (60, 60))[1] == 0.0


FLAT = np.zeros((8, 8, 3), np.uint8)
BOXES = np.zeros((2, 4), np.float32)
SCORES = np.zeros(2, np.float32)
MAPS = np.zeros((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: letterbox(FLAT / 2, (4, 4)), TypeError, "picture: expected uint8, got float64"),
        (lambda: letterbox(FLAT[0], (4, 4)), ValueError, r"picture: .*\(H, W, 3\), got \(8, 3\)"),
        (lambda: letterbox(FLAT[:0], (4, 4)), ValueError, "picture: "),
        (lambda: letterbox(FLAT, (0, 4)), ValueError, "size: "),
        (lambda: letterbox(FLAT, (4, 4), std=(1, 0, 1)), ValueError, "std: .*got 0"),
        (lambda: letterbox(FLAT, (4, 4), mean=(1, np.nan, 1)), ValueError, "mean: "),
        (lambda: scaled(FLAT, (0, 3)), ValueError, r"scaled: .*got \(0, 3\)"),
        (
            lambda: native.cut(FLAT, (8, 8), (8, 0), (0, 0, 0), FLAT.copy()),
            ValueError,
            r"corner: \(8, 0\) lies outside",
        ),
        (
            lambda: native.cut(FLAT, (8, 8), (0, 0), (0, 0, 0), FLAT.copy()[:, ::2]),
            ValueError,
            "out: must be writeable, contiguous and aligned",
        ),
        (lambda: find_peaks(MAPS.astype(int)), TypeError, "scores: .*float64, got int64"),
        (lambda: find_peaks(MAPS[0]), ValueError, r"scores: .*got \(1, 4, 4\)"),
        (lambda: find_peaks(MAPS, kernel_size=2), ValueError, "kernel_size: .*got 2"),
        (lambda: find_peaks(MAPS, threshold=np.nan), ValueError, "threshold: "),
        (lambda: find_peaks(MAPS, smooth=5), ValueError, "smooth: .*got 5"),
        (lambda: find_peaks(MAPS, max_peaks=0), ValueError, "max_peaks: .*got 0"),
        (
            lambda: find_peaks(np.broadcast_to(np.float32(0), (1, 1, 2**16, 2**15))),
            ValueError,
            r"scores: .*fewer than 2\^31 pixels, .*got \(1, 1, 65536, 32768\)",
        ),
        (lambda: native.nms(BOXES.T, SCORES, None, 0.5), ValueError, r"boxes: .*got \(4, 2\)"),
        (lambda: native.nms(BOXES, SCORES[:1], None, 0.5), ValueError, r"scores: .*got \(1,\)"),
        (lambda: native.nms(BOXES, SCORES.astype(float), None, 0.5), TypeError, "scores: "),
        (
            lambda: native.nms(BOXES, SCORES, SCORES.astype(np.int32), 0.5),
            TypeError,
            "labels: expected int64, got int32",
        ),
        (lambda: native.nms(BOXES, SCORES, None, 1.5), ValueError, "iou_threshold: .*got 1.5"),
        (lambda: native.nms(BOXES + np.nan, SCORES, None, 0.5), ValueError, "boxes: box 0 "),
        (
            lambda: native.nms(
                BOXES + np.array([-3e38, 0, 3e38, 1], np.float32), SCORES, None, 0.5
            ),
            ValueError,
            "boxes: coordinates are too large",
        ),
        (lambda: native.nms(BOXES, SCORES + np.nan, None, 0.5), ValueError, "score 0 is NaN"),
        (
            lambda: native.place_core(MAPS[0, 0], (0, 5, 0, 4), MAPS[0, 0].copy(), (0, 0)),
            ValueError,
            "core: rows 0 to 5",
        ),
        (
            lambda: native.place_core(
                MAPS[0, 0],
                (0, 4, 0, 4),
                np.zeros(65, np.uint8)[1:].view("f4").reshape(4, 4),
                (0, 0),
            ),
            ValueError,
            "map: must be writeable, contiguous and aligned",
        ),
        (
            lambda: native.place_core(MAPS[0, 0], (3, 1, 0, 4), MAPS[0, 0].copy(), (0, 0)),
            ValueError,
            "core: rows 3 to 1",
        ),
        (
            lambda: native.place_core(MAPS[0, 0], (0, 4, 0, 4), MAPS[0, 0].copy(), (0, 1)),
            ValueError,
            r"do not fit the map \(4, 4\) at \(0, 1\)",
        ),
    ],
)
def test_errors_name_the_argument(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_missing_library_says_how_to_build_it(tmp_path: Path) -> None:
    (tmp_path / "_C_numpy.pyi").touch()
    assert "is not built" in native.explain(tmp_path, ImportError("no module"))
    (tmp_path / "_C_numpy.cpython-39-x86_64-linux-gnu.so").touch()
    told = native.explain(tmp_path, ImportError("no module"))
    assert "does not load in Python 3." in told
    assert "cpython-39" in told


def test_the_library_needs_no_torch() -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm of binutils")
    from fastcount import _C_numpy

    command = [nm, "--dynamic", "--undefined-only", str(_C_numpy.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout
    assert "PyInit" not in done.stdout
    assert sys.implementation.cache_tag in str(_C_numpy.__file__)
