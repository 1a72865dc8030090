"""``fastcount count``: what it prints and writes, and how it leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastcount
from fastcount import overlay, shipped
from fastcount.models import create_model
from fastcount.models.checkpoint import save_model
from fastcount.pictures import open_picture
from fastcount.runtime.counter import Counter


def test_json_is_what_the_library_says(run_json, model_file: str, pictures: Path) -> None:
    code, entries = run_json("count", pictures / "a.png", "--model", model_file, "--json")
    assert code == 0
    (entry,) = entries
    expected = fastcount.load(model_file)(pictures / "a.png")
    assert entry["path"] == str(pictures / "a.png")
    assert entry["count"] == pytest.approx(expected.count)
    assert entry["size"] == [40, 52]
    assert expected.count > 0


def test_a_folder_means_its_pictures(run_json, model_file: str, pictures: Path) -> None:
    (pictures / ".hidden.png").write_bytes((pictures / "a.png").read_bytes())
    (pictures / "a.overlay.png").write_bytes((pictures / "a.png").read_bytes())
    code, entries = run_json("count", pictures, "--model", model_file, "--format", "json")
    assert code == 0
    names = [Path(entry["path"]).relative_to(pictures).as_posix() for entry in entries]
    assert names == ["a.png", "b.jpg", "sub/a.png"]


def test_one_broken_picture_among_good_ones(
    run_json, model_file: str, pictures: Path, tmp_path: Path
) -> None:
    whole = (pictures / "a.png").read_bytes()
    (pictures / "aa-cut.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    arguments = ("count", pictures, "--model", model_file, "--out", out, "--overlay", "--json")
    code, entries = run_json(*arguments)
    assert code == 1
    assert [entry["count"] is None for entry in entries] == [False, True, False, False]
    assert "aa-cut.png" in entries[1]["error"]
    written = sorted(path.name for path in out.iterdir())
    assert written == ["a-2.overlay.png", "a.overlay.png", "b.overlay.png", "results.json"]
    assert json.loads((out / "results.json").read_text()) == entries


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.png", b"hello", "not a picture"),
        ("cut.gif", b"GIF89a\x10\x00\x10\x00", "cut.gif"),
        ("missing.png", None, "no such file"),
    ],
)
def test_bad_files_are_named(
    run, model_file: str, tmp_path: Path, name: str, data: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    code, out, err = run("count", path, "--model", model_file)
    assert code == 1
    assert str(path) in err
    assert words in err
    assert "failed" in out
    assert "Traceback" not in out + err


def test_overlays_of_pictures_of_one_name_are_both_kept(
    run_json, model_file: str, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    code, entries = run_json(
        *("count", pictures / "a.png", pictures / "sub" / "a.png", "--model", model_file),
        *("--out", out, "--overlay", "--json"),
    )
    assert code == 0
    sizes = [Image.open(entry["overlay"]).size for entry in entries]
    assert sizes == [(52, 40), (52, 56)]
    assert not list(out.glob(".*"))  # no half-written files


def test_zones(run_json, run, model_file: str, pictures: Path) -> None:
    whole, left = "-1,-1 99,-1 99,99 -1,99", "-0.5,-0.5 25.5,-0.5 25.5,39.5 -0.5,39.5"
    arguments = ("count", pictures / "a.png", "--model", model_file, "--zone", whole)
    code, (entry,) = run_json(*arguments, "--zone", left, "--json")
    assert code == 0
    assert entry["zones"][0] == pytest.approx(entry["count"], rel=1e-5)
    assert 0 < entry["zones"][1] < entry["count"]
    code, out, _ = run(*arguments, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert float(row["zone1"]) == pytest.approx(float(row["count"]), rel=1e-5)


def test_an_overlay_shows_the_zones_that_were_counted(
    run_json, model_file: str, pictures: Path, tmp_path: Path
) -> None:
    zone = [(10.0, 8.0), (40.0, 8.0), (40.0, 30.0)]
    text = " ".join(f"{x:g},{y:g}" for x, y in zone)
    arguments = ("count", pictures / "a.png", "--model", model_file, "--zone", text, "--json")
    _, (entry,) = run_json(*arguments, "--overlay", "--out", tmp_path)
    counting = fastcount.load(model_file)(pictures / "a.png")
    expected = counting.overlay(pictures / "a.png", [zone])
    assert (np.asarray(Image.open(entry["overlay"])) == np.asarray(expected)).all()
    assert (np.asarray(expected) != np.asarray(counting.overlay(pictures / "a.png"))).any()


def test_csv_has_a_line_a_picture(run, model_file: str, pictures: Path) -> None:
    code, out, _ = run(
        "count", pictures, pictures / "none.png", "--model", model_file, "--format", "csv"
    )
    assert code == 1
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 4
    assert [bool(row["error"]) for row in rows] == [False, False, False, True]
    assert float(rows[0]["count"]) > 0


def test_the_table_names_pictures_and_their_sum(run, model_file: str, pictures: Path) -> None:
    odd = pictures / "[bold]odd.png"
    odd.write_bytes((pictures / "a.png").read_bytes())
    code, out, _ = run("count", odd, pictures / "b.jpg", "--model", model_file)
    assert code == 0
    assert "[bold]odd.png" in out.replace("\n", "")
    assert "2 pictures" in out


def test_tiles_give_the_same_count(run_json, model_file: str, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    values = np.random.default_rng(3).integers(0, 256, (300, 410, 3), np.uint8)
    Image.fromarray(values).save(path)
    base = ("count", path, "--model", model_file, "--json")
    _, (whole,) = run_json(*base)
    _, (tiled,) = run_json(*base, "--tile", 128, "--batch-size", 3)
    assert tiled["count"] == pytest.approx(whole["count"], rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument"),
        (("x.png", "--model", "nobody"), "no model is called 'nobody'"),
        (("x.png", "--model", "mcnn"), "architecture without weights"),
        (("x.png", "--model", "no/such.safetensors"), "no model file"),
        (("x.png", "--overlay"), "--out"),
        (("x.png", "--zone", "1,2 3,4"), "three corners"),
        (("x.png", "--zone", "1,2 3,x 4,5"), "--zone"),
        (("x.png", "--format", "xml"), "xml"),
        (("x.png", "--json", "--format", "csv"), "one of them"),
        (("x.png", "--tile", "0"), "--tile"),
        (("x.png", "--wat"), "--wat"),
    ],
)
def test_wrong_usage_leaves_with_2(run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run("count", *arguments)
    assert code == 2
    assert out == ""
    assert words in " ".join(err.split())


def test_wrong_tile_and_device_leave_with_2(run, model_file: str, pictures: Path) -> None:
    base = ("count", pictures / "a.png", "--model", model_file)
    for option, value in (("--tile", 20), ("--device", "abacus")):
        code, out, err = run(*base, option, value)
        assert (code, out) == (2, "")
        assert option.strip("-") in err


def test_a_file_that_is_no_model_leaves_with_2(run, pictures: Path) -> None:
    code, _, err = run("count", pictures / "a.png", "--model", pictures / "a.png")
    assert code == 2
    assert "a.png" in err


def test_where_nothing_can_be_written_nothing_is_counted(
    run, model_file: str, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    base = ("count", pictures / "a.png", "--model", model_file)
    code, printed, err = run(*base, "--out", tmp_path / "file", "--json")
    assert (code, printed) == (2, "")
    assert "--out" in err


def test_a_count_is_not_lost_with_its_overlay(
    run_json, model_file: str, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / "a.overlay.png").mkdir(parents=True)  # so that no file can stand there
    code, entries = run_json(
        *("count", pictures / "a.png", "--model", model_file, "--json"),
        *("--out", tmp_path / "out", "--overlay"),
    )
    assert code == 1
    assert entries[0]["count"] is not None
    assert "cannot be written" in entries[0]["error"]


def _stop_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the picture of that number is counted."""
    whole, counted = Counter.__call__, []

    def call(self: Counter, *arguments: object, **options: object) -> object:
        counted.append(1)
        if len(counted) == number:
            raise KeyboardInterrupt
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Counter, "__call__", call)


def test_what_was_counted_before_a_stop_is_kept(
    run_json, model_file: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop_at(2, monkeypatch)
    out = tmp_path / "out"
    arguments = (pictures / "none.png", pictures, "--model", model_file, "--out", out, "--json")
    code, entries = run_json("count", *arguments)
    assert code == 1
    assert [entry["count"] is None for entry in entries] == [True, False, True, True]
    assert ["stopped" in entry.get("error", "") for entry in entries] == [False, False, True, True]
    assert json.loads((out / "results.json").read_text()) == entries


def test_results_are_written_while_counting_goes_on(
    run, model_file: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen = Counter.__call__, []

    def call(self: Counter, *arguments: object, **options: object) -> object:
        results = tmp_path / "results.json"
        seen.append(len(json.loads(results.read_text())) if results.exists() else 0)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Counter, "__call__", call)
    monkeypatch.setattr("fastcount.cli.count.SAVE_EVERY", -1.0)
    assert run("count", pictures, "--model", model_file, "--out", tmp_path)[0] == 0
    assert seen == [0, 1, 2]


def test_zones_of_a_mere_total_are_wrong_usage(run, pictures: Path, tmp_path: Path) -> None:
    total = tmp_path / "total.safetensors"
    save_model(create_model("leaf_regression", size=(32, 64)), total, card={})
    zone = ("--zone", "0,0 9,0 9,9")
    code, out, err = run("count", pictures, "--model", total, *zone, "--json")
    assert (code, out) == (2, "")
    assert err.count("--zone: this model gives one number") == 1


def test_names_that_are_no_text(model_file: str, pictures: Path, tmp_path: Path) -> None:
    name = os.fsencode(pictures) + b"/bad\xe9.png"
    os.rename(os.fsencode(pictures / "a.png"), name)  # noqa: PTH104
    command = [sys.executable, "-m", "fastcount", "count", name, "--model", model_file]
    done = subprocess.run([*command, "--json", "--out", tmp_path / "out"], capture_output=True)
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == len(
        json.loads((tmp_path / "out/results.json").read_text())
    )


def test_a_reader_that_goes_away_is_no_crash(model_file: str, pictures: Path) -> None:
    command = [sys.executable, "-m", "fastcount", "count", pictures / "a.png", "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "--model", model_file], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_max_pixels_refuses(run, model_file: str, pictures: Path) -> None:
    base = ("count", pictures / "a.png", "--model", model_file)
    code, _, err = run(*base, "--max-pixels", 2079)
    assert code == 1
    assert "max_pixels" in err
    assert run(*base, "--max-pixels", 2080)[0] == 0


def test_max_pixels_can_be_raised(
    run, model_file: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is lowered here: beyond the true one a picture takes gigabytes."""
    for place in (open_picture, Counter.__call__):
        defaults = place.__kwdefaults__
        monkeypatch.setattr(place, "__kwdefaults__", {**defaults, "max_pixels": 100})
    monkeypatch.setattr(overlay, "MAX_PIXELS", 100)
    base = ("count", pictures / "a.png", "--model", model_file, "--out", tmp_path, "--overlay")
    assert run(*base, "--max-pixels", 100)[0] == 1
    assert run(*base, "--max-pixels", 2080)[0] == 0
    assert (tmp_path / "a.overlay.png").exists()


def test_an_out_that_cannot_be_made(run, model_file: str, pictures: Path) -> None:
    file = pictures / "sub" / "notes.txt"
    code, _, err = run("count", pictures / "a.png", "--model", model_file, "--out", file)
    assert code == 2
    assert "--out" in err


def test_crowd_is_the_default(
    run_json, model_file: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "crowd.safetensors").write_bytes(Path(model_file).read_bytes())
    monkeypatch.setattr(shipped, "FOLDER", weights)
    code, (entry,) = run_json("count", pictures / "a.png", "--json")
    assert code == 0
    assert entry["count"] == fastcount.load(model_file)(pictures / "a.png").count


def test_the_whole_program(model_file: str, pictures: Path) -> None:
    """A process of its own: standard input, a terminal-less stderr, the exit status."""
    command = [sys.executable, "-m", "fastcount", "count", "-", "--json", "--model", model_file]
    root = Path(fastcount.__file__).parent.parent
    done = subprocess.run(
        command,
        input=(pictures / "a.png").read_bytes(),
        capture_output=True,
        cwd=root,
        env={**os.environ, "COLUMNS": "40"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    (entry,) = json.loads(done.stdout)
    assert entry["path"] == "-"
    assert entry["count"] > 0
