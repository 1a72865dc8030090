"""How pictures are cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastcount.runtime.tiling import Tiling, cut, plan


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    tile=st.tuples(st.integers(130, 400), st.integers(130, 400)),
    margin=st.integers(0, 40),
    align=st.sampled_from([1, 4, 8, 16]),
)
def test_cores_cover_every_pixel_once_with_their_margins(
    size: tuple[int, int], tile: tuple[int, int], margin: int, align: int
) -> None:
    tiling = Tiling(tile=tile, margin=margin, align=align)
    cuts = plan(size, tiling)
    covered = np.zeros(size, int)
    shapes = set()
    for window in cuts.windows():
        rows, columns = window.rows, window.columns
        covered[rows.low : rows.high, columns.low : columns.high] += 1
        shapes.add((rows.stop - rows.start, columns.stop - columns.start))
        for span, length, side in zip((rows, columns), size, tile, strict=True):
            assert span.start % align == 0
            assert span.low % align == 0
            assert span.stop - span.start <= side
            assert span.start == 0 or span.low - span.start >= margin
            assert span.stop >= length or span.stop - span.high >= margin
            assert span.high == length or span.high % align == 0
    assert (covered == 1).all()
    assert len(list(cuts.windows())) == len(cuts)
    for spans in (cuts.rows, cuts.columns):
        assert all(one.start < other.start for one, other in itertools.pairwise(spans))
    assert len(shapes) == 1  # tiles of a picture can share a batch
    height, width = shapes.pop()
    assert height % align == 0
    assert width % align == 0


def test_small_pictures_go_through_whole_and_padded() -> None:
    tiling = Tiling(tile=(64, 64), margin=8, align=32, fill=(1, 2, 3))
    picture = np.full((33, 1, 3), 200, np.uint8)
    cuts = plan((33, 1), tiling)
    (window,) = cuts.windows()
    tile = cut(picture, cuts, window, tiling.fill)
    assert tile.shape == (64, 32, 3)
    assert (tile[:33, :1] == 200).all()
    assert (tile[33:] == (1, 2, 3)).all()
    assert (tile[:, 1:] == (1, 2, 3)).all()


def test_a_tile_too_small_says_what_would_do() -> None:
    with pytest.raises(ValueError, match=r"tile: 64 pixels.*at least 72"):
        plan((500, 500), Tiling(margin=30, align=8), tile=64)
    assert len(plan((500, 500), Tiling(margin=30, align=8), tile=72)) > 1


@pytest.mark.parametrize(
    ("size", "tiles"),
    [
        ((768, 1024), (2, 2)),
        ((384, 512), (1, 1)),
        ((1, 1), (1, 1)),
        ((700, 1000), (2, 2)),  # 1000 / 512 -> 2; 512 * 2 * 700 / 1000 / 384 = 1.87 -> 2
        ((1200, 500), (3, 1)),
        ((100, 3000), (1, 6)),
    ],
)
def test_grid_follows_the_rule_of_deepcount(size: tuple[int, int], tiles: tuple[int, int]) -> None:
    tiling = Tiling(mode="grid", tile=(384, 512))
    cuts = plan(size, tiling)
    assert (len(cuts.rows), len(cuts.columns)) == tiles
    assert cuts.scaled == (384 * tiles[0], 512 * tiles[1])


def test_a_strip_does_not_become_thousands_of_tiles() -> None:
    assert len(plan((10_000, 1), Tiling(mode="grid", tile=(384, 512)))) < 300


@pytest.mark.parametrize("size", [(700, 1000), (301, 203), (40, 1700)])
def test_grid_tiles_are_crops_of_the_resized_picture(size: tuple[int, int]) -> None:
    tiling = Tiling(mode="grid", tile=(96, 128))
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    cuts = plan(size, tiling)
    whole = Image.fromarray(picture).resize(cuts.scaled[::-1], Image.Resampling.BILINEAR)
    expected = np.asarray(whole).astype(int)
    for window in cuts.windows():
        tile = cut(picture, cuts, window, tiling.fill)
        rows, columns = window.rows, window.columns
        part = expected[rows.start : rows.stop, columns.start : columns.stop]
        assert np.abs(tile - part).max() <= 1


def test_resize_fits_the_tile_in_proportion() -> None:
    tiling = Tiling(mode="resize", tile=(800, 1333), align=128, fill=(9, 9, 9))
    cuts = plan((400, 600), tiling)
    assert cuts.scaled == (800, 1200)
    (window,) = cuts.windows()
    picture = np.full((400, 600, 3), 77, np.uint8)
    tile = cut(picture, cuts, window, tiling.fill)
    assert tile.shape == (896, 1280, 3)
    assert (tile[:800, :1200] == 77).all()
    assert (tile[800:] == 9).all()
    assert plan((1600, 400), tiling).scaled == (800, 200)
    assert plan((1, 100_000), tiling).scaled == (1, 1333)


@pytest.mark.parametrize("size", [(384, 512), (385, 1), (700, 1100)])
def test_divide_cuts_the_picture_as_it_is(size: tuple[int, int]) -> None:
    tiling = Tiling(mode="divide", tile=(384, 512), fill=(1, 2, 3))
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    cuts = plan(size, tiling)
    assert cuts.scaled == size
    assert len(cuts) == -(-size[0] // 384) * -(-size[1] // 512)
    again = np.zeros_like(picture)
    for window in cuts.windows():
        tile = cut(picture, cuts, window, tiling.fill)
        assert tile.shape == (384, 512, 3)
        rows, columns = window.rows, window.columns
        height, width = rows.high - rows.low, columns.high - columns.low
        again[rows.low : rows.high, columns.low : columns.high] = tile[:height, :width]
        assert (tile[height:] == (1, 2, 3)).all()
        assert (tile[:, width:] == (1, 2, 3)).all()
    assert np.array_equal(again, picture)


@pytest.mark.parametrize("mode", ["divide", "grid", "resize"])
def test_a_fixed_input_size_cannot_be_overridden(mode: str) -> None:
    with pytest.raises(ValueError, match="tile: this model takes"):
        plan((10, 10), Tiling(mode=mode), tile=512)  # type: ignore[arg-type]
