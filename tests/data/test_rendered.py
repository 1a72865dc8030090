from __future__ import annotations

import numpy as np
import pytest

from fastcount.data import open_dataset
from fastcount.data.discs import render_discs
from fastcount.data.nuclei import render_nuclei


@pytest.mark.parametrize("name", ["textures", "night_skies"])
def test_empty_scenes_hold_nothing_and_repeat(name: str) -> None:
    data = open_dataset(f"{name}:?count=5&size=64")
    assert len(data) == 5
    for i in range(5):
        sample = data[i]
        assert sample["count"] == 0
        assert len(sample["points"]) == 0
        picture = data.picture(i)
        assert picture.shape == (64, 64, 3)
        assert np.ptp(picture) > 40, "a blank picture teaches nothing"
        assert np.array_equal(picture, data.picture(i))
    assert not np.array_equal(data.picture(0), data.picture(4))


def test_discs_differ_from_their_ground_where_the_points_are() -> None:
    differing = total = 0
    for seed in range(12):
        picture, points = render_discs(seed, size=160)
        if not len(points):
            continue
        inside = (points >= 0).all(1) & (points < 160).all(1)
        assert inside.all()
        at = points[inside].round().astype(int).clip(0, 159)
        ground = np.median(picture.mean(-1))
        differing += int((np.abs(picture.mean(-1)[at[:, 1], at[:, 0]] - ground) > 8).sum())
        total += len(at)
    assert total > 50
    assert differing > 0.8 * total


def test_discs_do_not_hide_each_other() -> None:
    for seed in range(6):
        _, points = render_discs(seed, size=160)
        gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
        gaps[np.arange(len(points)), np.arange(len(points))] = np.inf
        assert not len(points) or gaps.min() > 4


def test_same_seed_same_discs() -> None:
    a, b = open_dataset("discs:?pictures=2&size=96"), open_dataset("discs:?pictures=2&size=96")
    assert np.array_equal(a.picture(1), b.picture(1))
    assert np.array_equal(a.annotation(1).points, b.annotation(1).points)


def test_nuclei_shine_where_their_points_are() -> None:
    brighter = []
    for seed in range(8):
        picture, points = render_nuclei(seed, size=128)
        assert ((points >= 0) & (points <= 127)).all()
        tone = picture.mean(-1)
        at = points.round().astype(int)
        brighter.append((tone[at[:, 1], at[:, 0]] > np.median(tone) + 4).mean())
    assert np.mean(brighter) > 0.9
    assert np.array_equal(render_nuclei(3, 64)[0], render_nuclei(3, 64)[0])


@pytest.mark.parametrize("spec", ["textures:?count=0", "discs:?pictures=0", "nuclei:?size=3"])
def test_impossible_options_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="at least"):
        open_dataset(spec)


@pytest.mark.parametrize("name", ["textures", "night_skies", "discs", "nuclei"])
def test_a_path_and_a_negative_seed_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: its pictures lie nowhere: leave out 'shots'"):
        open_dataset(f"{name}:shots")
    with pytest.raises(ValueError, match="seed: need at least 0, got -1"):
        open_dataset(f"{name}:?seed=-1")


def test_vgg_numbers_select_pictures(data_dir) -> None:
    folder = data_dir / "vgg_cells"
    some = open_dataset(f"vgg_cells:{folder}?numbers=76-100")
    assert some.ids[0] == "076cell"
    assert len(some) == 25
    with pytest.raises(ValueError, match="FIRST-LAST"):
        open_dataset(f"vgg_cells:{folder}?numbers=9-3")
