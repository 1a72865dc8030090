"""Boxes made from dots, and the file they are written to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from fastcount.cli import main
from fastcount.data import DatasetError, open_dataset
from fastcount.data.boxes_from_dots import (
    Presets,
    boxes_at,
    boxes_for,
    neighbour_sizes,
    perspective_sizes,
    preset_sizes,
)

PRESETS = np.array([[5.0, 5, 15, 17], [85, 5, 125, 53], [400, 400, 500, 500]])


def test_size_is_interpolated_between_the_two_nearest_presets() -> None:
    # middles (9.5, 10.5) and (104.5, 28.5) in pixel indices, sizes (10, 12) and (40, 48)
    a, b = np.array([9.5, 10.5]), np.array([104.5, 28.5])
    points = np.stack([a, b, (a + b) / 2, a + 0.25 * (b - a), a - (b - a) / 2])
    sizes = preset_sizes(points, PRESETS)
    expected = [[10, 12], [40, 48], [25, 30], [17.5, 21], [17.5, 21]]
    np.testing.assert_allclose(sizes, expected)


def test_one_preset_and_two_on_one_spot() -> None:
    points = np.array([[3.0, 4], [300, 200]])
    assert preset_sizes(points, PRESETS[:1]).tolist() == [[10, 12], [10, 12]]
    both = np.array([[0.0, 0, 10, 10], [-5, -5, 15, 15]])
    assert preset_sizes(np.array([[4.5, 4.5]]), both).tolist() == [[15, 15]]
    for wrong in (np.zeros((0, 4)), np.array([[5.0, 5, 5, 9]]), np.array([[0, 0, np.nan, 4]])):
        with pytest.raises(ValueError, match="at least one box"):
            preset_sizes(points, wrong)


def test_boxes_are_centred_on_their_dots() -> None:
    boxes = boxes_at(np.array([[0.0, 0], [9.5, 3]]), np.array([[1.0, 1], [4, 6]]))
    assert boxes.tolist() == [[0, 0, 1, 1], [8, 0.5, 12, 6.5]]


def test_sizes_from_neighbours() -> None:
    row = np.stack([np.arange(5) * 10.0, np.zeros(5)], axis=1)
    sizes = neighbour_sizes(row, k=2, factor=0.5, low=1, high=100)
    np.testing.assert_allclose(sizes[:, 0], [7.5, 5, 5, 5, 7.5])
    assert np.array_equal(sizes[:, 0], sizes[:, 1])
    assert neighbour_sizes(row[:1], high=33).tolist() == [[33, 33]]
    assert neighbour_sizes(row, factor=0.5, low=6, high=6)[:, 0].tolist() == [6] * 5
    assert neighbour_sizes(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(ValueError, match="0 < low <= high"):
        neighbour_sizes(row, low=9, high=3)


def test_perspective_is_a_line_that_outliers_do_not_pull() -> None:
    rng = np.random.default_rng(0)
    points = []
    y = 20.0
    while y < 600:  # rows of people whose spacing grows with y
        spacing = 0.1 * y
        points += [(x, y) for x in np.arange(0, 400, spacing)]
        y += spacing
    crowd = np.array(points)
    lonely = np.array([[5000.0, 30], [9000, 100], [-7000, 60]])
    sizes = perspective_sizes(np.concatenate([crowd, lonely]), factor=1.0, high=1000, low=0.1)
    slope = np.polyfit(crowd[:, 1], sizes[: len(crowd), 0], 1)[0]
    assert slope == pytest.approx(0.1, rel=0.15)
    assert sizes[-3, 0] < 8  # the lonely take the size of their row
    flat = perspective_sizes(np.stack([rng.random(50), -crowd[:50, 1]], 1))
    assert np.ptp(flat) == 0
    assert perspective_sizes(np.zeros((0, 2))).shape == (0, 2)
    assert perspective_sizes(np.zeros((1, 2)), high=20).tolist() == [[20, 20]]
    pair = np.array([[0.0, 0], [2, 0]])
    assert perspective_sizes(pair, k=1, factor=0.5, low=0.1)[:, 0].tolist() == [1, 1]


def presets_file(path: Path) -> Path:
    path.write_text(
        json.dumps({"scenes": [{"pictures": ["IMG_1"], "boxes": [[0, 0, 4, 4], [8, 8, 16, 20]]}]})
    )
    return path


def test_presets_by_scene(tmp_path: Path) -> None:
    presets = Presets.read(presets_file(tmp_path / "presets.json"))
    assert presets.of("IMG_2") is None
    drawn = presets.of("IMG_1")
    assert drawn is not None
    assert drawn.shape == (2, 4)
    with pytest.raises(ValueError, match="method: need one of neighbours, perspective"):
        boxes_for(np.zeros((1, 2)), None, "magic")
    for text in ("{", '{"scenes": [{"pictures": [], "boxes": [[1, 2, 0, 4]]}]}', "{}"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DatasetError, match=r"bad\.json.*scenes") as caught:
            Presets.read(tmp_path / "bad.json")
        assert "(presets: " not in str(caught.value)


def test_overlays_stay_in_their_folder_and_do_not_replace_each_other(tmp_path: Path) -> None:
    for name in ("pictures/a.png", "more/a.png", "frame.0001.png", "frame.0002.png"):
        trees.picture(tmp_path / name, (20, 30))
    paths = ("../pictures/a.png", "../more/a.png", "../frame.0001.png", "../frame.0002.png")
    (tmp_path / "table").mkdir()
    (tmp_path / "table/dots.csv").write_text("path,x,y\n" + "".join(f"{p},5,5\n" for p in paths))
    before = (tmp_path / "pictures/a.png").read_bytes()
    folder = tmp_path / "look"
    arguments = ["--out", str(tmp_path / "b.json"), "--overlay", str(folder)]
    assert main(["boxes", f"csv:{tmp_path}/table/dots.csv", *arguments]) == 0
    assert (tmp_path / "pictures/a.png").read_bytes() == before
    names = ["a-2.overlay.png", "a.overlay.png", "frame.0001.overlay.png", "frame.0002.overlay.png"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_rendered_pictures_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "synthetic:?kind=cells&count=3&pictures=2&size=64"
    assert main(["boxes", spec, "--out", str(tmp_path / "b.json")]) == 2
    assert "is rendered" in capsys.readouterr().err


def test_command_round_trip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dots = [[[2.0, 3], [13, 15], [29, 20]], [], [[5, 5], [-40, 9]]]
    trees.shanghaitech(tmp_path, dots)
    out = tmp_path / "boxes" / "b.json"
    spec = f"shanghaitech:{tmp_path}?part=A&split=train"
    presets = presets_file(tmp_path / "presets.json")
    overlays = tmp_path / "look"
    arguments = ["--out", str(out), "--presets", str(presets), "--overlay", str(overlays)]
    assert main(["boxes", spec, *arguments]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    before, after = open_dataset(spec), open_dataset(f"coco:{out}")
    assert len(after) == len(before)
    for index in range(len(before)):
        old, new = before[index], after[index]
        assert new["count"] == old["count"]
        assert new["image"].shape == old["image"].shape
        np.testing.assert_allclose(new["points"], old["points"], atol=2e-3)
    boxes = after[0]["boxes"].numpy()
    sizes = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(
        sizes,
        preset_sizes(before[0]["points"].numpy(), np.array([[0, 0, 4, 4], [8, 8, 16, 20]])),
        atol=3e-3,
    )
    pictures = sorted(overlays.glob("**/*.png"))
    assert len(pictures) == 3
    with Image.open(pictures[0]) as drawn:
        assert drawn.size == (32, 24)


def test_a_broken_picture_does_not_end_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        trees.picture(tmp_path / f"{name}.png", (20, 30))
    (tmp_path / "a.png").write_bytes(b"spoilt")
    lines = ["path,x,y", "a.png,5,5", "b.png,6,6", "b.png,12,6", "c.png,7,7"]
    (tmp_path / "dots.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "b.json"
    assert main(["boxes", f"csv:{tmp_path}/dots.csv", "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert told.out.strip() == str(out)
    assert "a.png: " in told.err
    assert "1 of 3 pictures failed" in told.err
    after = open_dataset(f"coco:{out}")
    found = {after.ids[i]: after[i]["points"].tolist() for i in range(len(after))}
    assert found == {"b.png": [[6, 6], [12, 6]], "c.png": [[7, 7]]}


def test_a_file_in_a_folder_reached_by_a_link(tmp_path: Path) -> None:
    trees.picture(tmp_path / "pictures/a.png", (20, 30))
    (tmp_path / "pictures/dots.csv").write_text("path,x,y\na.png,5,5\n")
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far/away")
    out = tmp_path / "link/b.json"
    assert main(["boxes", f"csv:{tmp_path}/pictures/dots.csv", "--out", str(out)]) == 0
    assert open_dataset(f"coco:{out}")[0]["image"].shape == (3, 20, 30)


def test_command_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.shanghaitech(tmp_path, [[[2.0, 3]]])
    spec, out = f"shanghaitech:{tmp_path}?part=A&split=train", tmp_path / "b.json"
    assert main(["boxes", spec, "--out", str(out), "--low", "9", "--high", "3"]) == 2
    assert main(["boxes", spec, "--out", str(out), "--presets", str(tmp_path / "no.json")]) == 2
    assert main(["boxes", "nothing:x", "--out", str(out)]) == 2
    (tmp_path / "file").write_text("")
    for option in (["--out", f"{tmp_path}/file/b.json"], ["--out", str(tmp_path)]):
        capsys.readouterr()
        assert main(["boxes", spec, *option]) == 2
        assert "--out" in capsys.readouterr().err
    assert main(["boxes", spec, "--out", str(out), "--overlay", f"{tmp_path}/file/o"]) == 2
    assert not out.exists()
    (tmp_path / "counts.json").write_text(
        json.dumps([{"path": "part_A/train_data/images/IMG_1.jpg", "count": 3}])
    )
    assert main(["boxes", f"json:{tmp_path / 'counts.json'}", "--out", str(out)]) == 1
    assert "no dots" in capsys.readouterr().err
    assert not out.exists()


def test_pictures_of_a_preset_that_are_no_list() -> None:
    scene = {"pictures": "seq1/*", "boxes": [[1, 1, 5, 5]]}  # "*" would be every picture
    with pytest.raises(DatasetError, match=r"presets: TypeError: pictures is 'seq1/\*', no list"):
        Presets.parse({"scenes": [scene]})
