"""The result type: its checks, zones, drawing and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastcount.counting import Counting
from fastcount.zones import as_polygon, coverage, inside

WHOLE = [(-0.5, -0.5), (36.5, -0.5), (36.5, 29.5), (-0.5, 29.5)]  # a picture of 30 x 37


def with_density(stride: float | tuple[float, float] = 8) -> Counting:
    rows, columns = (5, 8) if isinstance(stride, tuple) else (4, 5)
    density = np.random.default_rng(0).random((rows, columns), np.float32)
    return Counting(float(density.sum()), (30, 37), density=density, stride=stride)


@pytest.mark.parametrize("stride", [8, (6.0, 4.625)])
def test_the_whole_picture_is_the_whole_count(stride: float | tuple[float, float]) -> None:
    counting = with_density(stride)
    assert counting.zone(WHOLE) == pytest.approx(counting.count, rel=1e-6)
    huge = [(-1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (1e4, -1e4)]
    assert counting.zone(huge) == pytest.approx(counting.count, rel=1e-6)


def test_one_cell_and_half_a_cell() -> None:
    counting = with_density()
    density = counting.density
    assert density is not None
    cell = [(7.5, 7.5), (15.5, 7.5), (15.5, 15.5), (7.5, 15.5)]
    assert counting.zone(cell) == pytest.approx(density[1, 1], rel=1e-6)
    triangle = [(7.5, 7.5), (15.5, 7.5), (15.5, 15.5)]
    assert counting.zone(triangle) == pytest.approx(density[1, 1] / 2, rel=1e-6)
    # The last column is 5 pixels wide, the last row 6 high: their cells are cut by the picture.
    corner = [(31.5, 23.5), (34, 23.5), (34, 29.5), (31.5, 29.5)]
    assert counting.zone(corner) == pytest.approx(density[3, 4] / 2, rel=1e-6)
    outside = [(100, 100), (120, 100), (110, 130)]
    assert counting.zone(outside) == 0


def star(angles: list[float], radii: list[float]) -> np.ndarray:
    """A polygon around (18, 14) that cannot cross itself, mostly concave."""
    turn = np.sort(np.unique(np.round(angles, 3)))
    r = np.resize(radii, len(turn))
    return np.stack([18.03 + r * np.cos(turn), 14.07 + r * np.sin(turn)], axis=1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 6.28), min_size=4, max_size=9, unique_by=lambda a: round(a, 3)),
    st.lists(st.floats(1, 40), min_size=9, max_size=9),
)
def test_coverage_equals_counting_fine_samples(angles: list[float], radii: list[float]) -> None:
    corners = star(angles, radii)
    try:
        corners = as_polygon(corners)
    except ValueError:
        return
    got = coverage(corners, (4, 5), (8.0, 8.0), (30, 37))
    fine = 20
    ys, xs = np.mgrid[0 : 30 * fine, 0 : 37 * fine]
    centres = np.stack([xs.ravel(), ys.ravel()], axis=1) / fine + (0.5 / fine - 0.5)
    hit = np.zeros((32 * fine, 40 * fine))
    hit[: 30 * fine, : 37 * fine] = inside(corners, centres).reshape(30 * fine, -1)
    sums = hit.reshape(4, 8 * fine, 5, 8 * fine).sum(axis=(1, 3))
    height = np.array([8, 8, 8, 6])[:, None] * fine
    width = np.array([8, 8, 8, 8, 5])[None, :] * fine
    np.testing.assert_allclose(got, sums / (height * width), atol=0.02)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 40), st.floats(-3, 40))
def test_two_halves_make_the_whole(at_top: float, at_bottom: float) -> None:
    """Also for points on the cut: each belongs to exactly one side."""
    counting = with_density()
    left = [(-50, -0.5), (at_top, -0.5), (at_bottom, 29.5), (-50, 29.5)]
    right = [(at_top, -0.5), (90, -0.5), (90, 29.5), (at_bottom, 29.5)]
    assert counting.zone(left) + counting.zone(right) == pytest.approx(counting.count, rel=1e-5)
    along = np.linspace(0, 1, 50)
    points = np.stack([at_top + along * (at_bottom - at_top), along * 29], axis=1)
    dots = Counting(50, (30, 37), points=points.astype(np.float32))
    assert dots.zone(left) + dots.zone(right) == 50


def test_zones_that_share_edges_count_every_point_once() -> None:
    """A fan of triangles with corners on whole pixels, where points lie on edges and corners."""
    rim = [(0, 0), (4, 0), (8, 0), (8, 3), (8, 8), (5, 8), (0, 8), (0, 5)]
    middle = (3, 4)
    x, y = np.meshgrid(np.arange(9.0), np.arange(9.0))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    hits = np.zeros(len(points), int)
    for one, other in zip(rim, [*rim[1:], rim[0]], strict=True):
        hits += inside(as_polygon([middle, one, other]), points)
    within = ((points >= 0) & (points < 8)).all(axis=1)  # the greater side of the rim is outside
    assert (hits[within] == 1).all()
    assert not hits[~within].any()


def crosses(polygon: list[tuple[int, int]]) -> bool:
    """Whether two edges cross within both, by whole-number arithmetic, pair by pair."""

    def turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    edges = list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))
    return any(
        turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0
        for i, (a, b) in enumerate(edges)
        for c, d in edges[:i]
    )


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=4, max_size=7))
def test_crossing_edges_are_found(polygon: list[tuple[int, int]]) -> None:
    open_polygon = polygon[:-1] if polygon[0] == polygon[-1] else polygon
    edges = list(zip(open_polygon, [*open_polygon[1:], open_polygon[0]], strict=True))
    walked = [edge for edge in edges if edge[0] != edge[1]]
    if crosses(open_polygon) or len(set(walked)) < len(walked):
        with pytest.raises(ValueError, match=r"cross|twice"):
            as_polygon(polygon)
    else:
        assert as_polygon(polygon).tolist() == [list(corner) for corner in open_polygon]


def test_zone_of_points_and_boxes() -> None:
    points = np.array([(1, 1), (5, 5), (20, 20)], np.float32)
    square = [(0, 0), (10, 0), (10, 10), (0, 10)]
    assert Counting(3, (30, 37), points=points).zone(square) == 2
    boxes = np.concatenate([points - 3.5, points + 4.5], axis=1)
    assert Counting(3, (30, 37), boxes=boxes).zone(square) == 2
    with pytest.raises(ValueError, match="one number for the whole picture"):
        Counting(3, (30, 37)).zone(square)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([(0, 0), (1, 1)], "three corners"),
        ([(0, 0, 0)] * 4, "three corners"),
        ([(0, 0), (1, np.nan), (2, 2)], "finite"),
        ([(0, 0), (10, 10), (10, 0), (0, 10)], "cross"),
    ],
)
def test_bad_polygons(polygon: list[tuple[float, ...]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        with_density().zone(polygon)


def test_a_closed_polygon_is_the_same() -> None:
    counting = with_density()
    triangle = [(3, 3), (30, 5), (20, 25)]
    assert counting.zone([*triangle, triangle[0]]) == counting.zone(triangle)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": (30,)}, "size"),
        ({"density": np.zeros((1, 2, 3), np.float32), "stride": 8}, "density"),
        ({"density": np.zeros((2, 3), np.float32)}, "stride"),
        ({"points": np.zeros((3, 3), np.float32)}, "points"),
        ({"boxes": np.zeros((3, 2), np.float32)}, "boxes"),
        (
            {"points": np.zeros((3, 2), np.float32), "boxes": np.zeros((5, 4), np.float32)},
            "3 points but 5 boxes",
        ),
        ({"points": np.zeros((3, 2), np.float32), "scores": np.zeros(2)}, "scores"),
        ({"boxes": np.zeros((3, 4), np.float32), "labels": np.zeros(4, int)}, "labels"),
    ],
)
def test_fields_must_fit(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Counting(**{"count": 0.0, "size": (30, 37), **fields})  # type: ignore[arg-type]


def test_to_dict_is_json() -> None:
    counting = Counting(
        2.0,
        (30, 37),
        std=float("nan"),
        density=np.full((4, 5), 0.1, np.float32),
        stride=(8.0, 7.4),
        points=np.array([[1.25, 2], [3, 4]], np.float32),
        labels=np.array([0, 1]),
        per_class={"cat": 1.0, "dog": 1.0},
    )
    values = json.loads(json.dumps(counting.to_dict(), allow_nan=False))
    assert values == {
        "count": 2.0,
        "size": [30, 37],
        "std": None,
        "stride": [8.0, 7.4],
        "points": [[1.25, 2.0], [3.0, 4.0]],
        "labels": [0, 1],
        "per_class": {"cat": 1.0, "dog": 1.0},
    }
    assert np.shape(counting.to_dict(density=True)["density"]) == (4, 5)


def test_overlay_draws_heat_where_the_density_is() -> None:
    density = np.zeros((40, 40), np.float32)
    density[5, 30] = 1
    picture = np.full((320, 320, 3), 128, np.uint8)
    counting = Counting(1.0, (320, 320), density=density, stride=8)
    drawn = np.asarray(counting.overlay(picture)).astype(int)
    changed = np.abs(drawn - 128).sum(axis=2)
    assert changed[40:48, 240:248].min() > 60
    assert changed[200:, :].max() == 0
    assert changed[:40, :60].max() > 100  # the count in its corner
    assert (picture == 128).all()


def test_overlay_draws_points_and_boxes_by_class() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    points = np.array([(100, 200), (200, 200)], np.float32)
    counting = Counting(2, (300, 300), points=points, labels=np.array([0, 1]))
    drawn = np.asarray(counting.overlay(picture))
    around = [drawn[190:211, x - 10 : x + 11].reshape(-1, 3) for x in (100, 200)]
    assert len(np.unique(np.concatenate(around), axis=0)) >= 3
    assert (around[0].max(axis=0) != around[1].max(axis=0)).any()
    boxes = Counting(1, (300, 300), boxes=np.array([(50, 150, 90, 220)], np.float32))
    assert np.asarray(boxes.overlay(picture))[185, 50].max() > 0


def test_overlay_draws_zones_as_outlines_with_their_counts() -> None:
    picture = np.full((300, 400, 3), 128, np.uint8)
    points = np.array([(250, 200), (251, 200)], np.float32)
    counting = Counting(2, (300, 400), points=points)
    zones = [
        [(120, 100), (280, 100), (280, 260), (120, 260)],
        [(330, 150), (1e7, 150), (1e7, 1e7), (330, 1e7)],  # most of it is not in the picture
        [(500, 0), (600, 0), (600, 99)],  # nothing of it is
    ]
    without = np.asarray(counting.overlay(picture)).astype(int)
    drawn = np.asarray(counting.overlay(picture, zones)).astype(int)
    assert drawn[180, [120, 280]].min() == drawn[[100, 260], 150].min() == 255
    assert drawn[[200, 299], 330].min() == drawn[150, [350, 399]].min() == 255
    changed = np.abs(drawn - without).sum(axis=2) > 0
    inside = changed[105:255, 125:275]
    assert inside[60:90, 60:90].any()  # the count in the middle
    inside[60:90, 60:90] = False
    assert not inside.any()
    border = changed[:, 340:].copy()
    border[145:155] = border[205:245] = False  # the edge, and the count
    assert not border.any()
    assert not changed[:, :115].any()


def test_overlay_writes_each_zone_s_own_count() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    zone = [(120, 100), (280, 100), (280, 260), (120, 260)]
    seen = []
    for x in (20, 140):  # outside the zone, inside it
        counting = Counting(1, (300, 400), points=np.array([(x, 250)], np.float32))
        seen.append(np.asarray(counting.overlay(picture, [zone]))[150:210, 170:230])
    assert (seen[0] != seen[1]).any()
    with pytest.raises(ValueError, match="one number for the whole picture"):
        Counting(1, (300, 400)).overlay(picture, [zone])
    with pytest.raises(ValueError, match="polygon"):
        counting.overlay(picture, [zone[:2]])


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (9, 9)])
def test_overlay_of_tiny_pictures(size: tuple[int, int]) -> None:
    counting = Counting(12345.6, size, density=np.ones((1, -(-size[1] // 8)), np.float32), stride=8)
    for zones in ([], [[(-9, -9), (999, -9), (999, 999), (-9, 999)]], [[(0, 0), (1, 0), (0, 1)]]):
        assert counting.overlay(np.zeros((*size, 3), np.uint8), zones).size == size[::-1]


def test_overlay_wants_the_same_picture() -> None:
    with pytest.raises(ValueError, match="pass the picture that was counted"):
        Counting(0, (30, 37)).overlay(Image.new("RGB", (30, 37)))


def test_a_polygon_walked_round_twice_is_refused() -> None:
    square = [(1, 1), (5, 1), (5, 5), (1, 5)]
    with pytest.raises(ValueError, match="walks along one of its edges twice"):
        as_polygon([*square, *square])
    assert len(as_polygon([(1, 1), (1, 1), *square])) == 6  # standing still is no walk
    keyhole = [(0, 0), (9, 0), (9, 9), (0, 9), (0, 0), (3, 3), (3, 6), (6, 6), (6, 3), (3, 3)]
    assert len(as_polygon(keyhole)) == 10  # in and out on one line
