"""``fastcount targets``: the maps of a data set as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastcount import ops


@pytest.fixture
def table(tmp_path: Path) -> str:
    for name in ("a.png", "b.png", "sub/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    rows = ["path,x,y", "a.png,3,4", "a.png,30,20.5", "a.png,90,20", "sub/a.png,10,10", "b.png,,"]
    (tmp_path / "dots.csv").write_text("\n".join(rows))
    return f"csv:{tmp_path / 'dots.csv'}"


def test_maps_add_up_to_the_points_inside(run_json, table: str, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    code, entries = run_json("targets", table, "--out", out, "--stride", 4, "--overlay", "--json")
    assert code == 0
    assert [(one["map"], one["count"], one["outside"]) for one in entries] == [
        *(("a.npy", 2, 1), ("a-2.npy", 1, 0), ("b.npy", 0, 0)),
    ]
    for one in entries:
        density = np.load(out / one["map"], allow_pickle=False)
        assert density.shape == (10, 15)
        assert density.dtype == np.float32
        assert density.sum(dtype=np.float64) == pytest.approx(one["count"], rel=1e-5)
    assert len(list(out.glob("*.overlay.png"))) == 3
    points = torch.tensor([[3.0, 4], [30, 20.5]])
    expected = ops.density_map(points, (40, 60), sigma=ops.adaptive_sigma(points), stride=4)
    np.testing.assert_allclose(np.load(out / "a.npy"), expected[0, 0].numpy(), atol=1e-6)


def test_a_width_of_ones_own(run, table: str, tmp_path: Path) -> None:
    code, printed, _ = run("targets", table, "--out", tmp_path / "maps", "--sigma", 2)
    assert code == 0
    assert printed.strip() == str(tmp_path / "maps" / "targets.json")
    points = torch.tensor([[3.0, 4], [30, 20.5]])
    expected = ops.density_map(points, (40, 60), sigma=2.0)[0, 0].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "maps" / "a.npy"), expected, atol=1e-6)


def test_one_bad_picture_does_not_end_it(run_json, table: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    code, entries = run_json("targets", table, "--out", tmp_path / "maps", "--json")
    assert code == 1
    assert [("error" in one) for one in entries] == [True, False, False]
    assert not (tmp_path / "maps" / "a.npy").exists()


def test_wrong_usage(run, table: str, tmp_path: Path) -> None:
    for extra in (
        ("--sigma", -1),
        ("--sigma", 2, "--k", 3),
        ("--beta", 0),
        ("--stride", 0),
        ("--sigma", "inf"),
    ):
        assert run("targets", table, "--out", tmp_path / "maps", *extra)[0] == 2
    assert run("targets", "csv:nowhere", "--out", tmp_path / "maps")[0] == 2
    (tmp_path / "counts.csv").write_text("path,count\na.png,3\n")
    code, _, err = run("targets", f"csv:{tmp_path / 'counts.csv'}", "--out", tmp_path / "maps")
    assert code == 1
    assert "has a count but no dots" in err


def test_nothing_is_drawn_where_nothing_can_be_written(run, table: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run("targets", table, "--out", tmp_path / "file/maps")
    assert (code, out) == (2, "")
    assert "file/maps: cannot be written" in err
    assert "a.png" not in err
