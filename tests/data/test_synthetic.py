from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fastcount.data import open_dataset
from fastcount.data.synthetic import render_cells, render_crowd


@pytest.mark.parametrize("kind", ["cells", "crowd"])
def test_same_seed_same_picture(kind: str) -> None:
    spec = f"synthetic:?kind={kind}&count=20&size=96&seed="
    first, again, other = (open_dataset(spec + seed) for seed in ("1", "1", "2"))
    assert np.array_equal(first.picture(3), again.picture(3))
    again.picture(5)
    assert np.array_equal(first[3]["points"], again[3]["points"])  # whatever was drawn between
    assert not np.array_equal(first.picture(3), other.picture(3))
    assert not np.array_equal(first.picture(3), first.picture(4))


@pytest.mark.parametrize("kind", ["cells", "crowd"])
def test_counts(kind: str) -> None:
    exact = open_dataset(f"synthetic:?kind={kind}&count=30&pictures=5&size=160")
    for sample in exact:
        assert sample["count"] == len(sample["points"]) == 30
        assert float(sample["points"].min()) >= 0
        assert float(sample["points"].max()) <= 159
    varied = open_dataset(f"synthetic:?kind={kind}&count=10&least=0&pictures=20&size=96")
    counts = {sample["count"] for sample in varied}
    assert len(counts) > 3
    assert max(counts) <= 10


@pytest.mark.parametrize("render", [render_cells, render_crowd])
def test_nothing_drawn_when_nothing_is_there(render: object) -> None:
    rendering = render(0, size=(64, 64), rng=np.random.default_rng(0))  # type: ignore[operator]
    assert rendering.points.shape == (0, 2)


@pytest.mark.parametrize("render", [render_cells, render_crowd])
def test_too_many_is_an_error(render: object) -> None:
    with pytest.raises(ValueError, match="count 5000 does not fit a picture of 64 x 64"):
        render(5000, size=(64, 64), rng=np.random.default_rng(0))  # type: ignore[operator]


def test_more_at_least_than_at_most_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold 0 <= least <= count, not 4, 3"):
        open_dataset("synthetic:?count=3&least=4")


def test_a_lone_cell_lies_on_its_point() -> None:
    for seed in range(5):
        rendering = render_cells(1, size=(200, 200), rng=np.random.default_rng(seed))
        light = rendering.image[..., 2].astype(float)
        bright = np.where(light > 90, light, 0)
        row, column = ndimage.center_of_mass(bright)
        x, y = rendering.points[0]
        if 10 < x < 190 and 10 < y < 190:
            assert (column, row) == pytest.approx((x, y), abs=0.5)


def test_a_lone_head_lies_on_its_point() -> None:
    for seed in range(5):
        with_head = render_crowd(1, size=(300, 300), rng=np.random.default_rng(seed))
        ground = np.median(with_head.image.astype(float), axis=1, keepdims=True)
        differs = np.abs(with_head.image - ground).max(axis=2) > 25
        row, column = ndimage.center_of_mass(differs)
        x, y = with_head.points[0]
        if 15 < x < 285 and y < 285:
            assert (column, row) == pytest.approx((x, y), abs=0.7)


def test_perspective_is_small_far_off() -> None:
    rendering = render_crowd(200, size=(400, 400), rng=np.random.default_rng(0))
    far = rendering.points[:, 1] < 150
    assert rendering.radii[far].max() < rendering.radii[~far].max() / 2
    assert far.sum() > 100  # and dense


def test_centres_are_apart() -> None:
    for render in (render_cells, render_crowd):
        rendering = render(100, size=(300, 300), rng=np.random.default_rng(2))
        gaps = np.linalg.norm(rendering.points[:, None] - rendering.points[None], axis=2)
        np.fill_diagonal(gaps, np.inf)
        assert (gaps.min(axis=1) > rendering.radii).all()


def test_path_says_that_there_is_none() -> None:
    with pytest.raises(FileNotFoundError, match="rendered"):
        open_dataset("synthetic:?count=1").path(0)
    with pytest.raises(ValueError, match="lie nowhere"):
        open_dataset("synthetic:/tmp?count=1")
