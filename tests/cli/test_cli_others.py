"""``fastcount eval``, ``profile``, ``models``, ``doctor``, ``train``."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastcount
import fastcount.training
from fastcount import shipped
from fastcount.cli import doctor
from fastcount.models.checkpoint import load_model, save_model
from fastcount.runtime.counter import Counter


@pytest.fixture
def dataset(pictures: Path) -> str:
    """Three pictures with 2, 1 and 0 points."""
    lines = ["path,x,y", "a.png,3,4", "a.png,30,20", "b.jpg,10,10", "sub/a.png,,"]
    (pictures / "points.csv").write_text("\n".join(lines) + "\n")
    return f"csv:{pictures / 'points.csv'}"


def test_eval_measures_what_the_counter_says(run_json, model_file: str, dataset: str) -> None:
    code, report = run_json("eval", model_file, dataset, "--json")
    assert code == 0
    data = fastcount_data(dataset)
    counter = fastcount.load(model_file)
    predicted = np.array([counter(data.path(i)).count for i in range(len(data))])
    true = np.array([data.annotation(i).count for i in range(len(data))])
    assert report["n"] == len(data) > 1
    assert report["mae"] == pytest.approx(np.abs(predicted - true).mean())
    assert report["rmse"] == pytest.approx(np.sqrt(((predicted - true) ** 2).mean()))
    assert report["bias"] == pytest.approx((predicted - true).mean())
    filled = true > 0
    assert report["nae"] == pytest.approx((np.abs(predicted - true) / true.clip(1))[filled].mean())
    assert len(report["game"]) == 4
    assert report["game"][0] == pytest.approx(report["mae"], rel=1e-5)
    assert report["game"] == sorted(report["game"])


@pytest.mark.parametrize("form", ["points", "density"])
@pytest.mark.parametrize(("mirrored", "game"), [(False, [0, 0, 0, 0]), (True, [0, 2, 2, 2])])
def test_game_looks_where_things_are(
    run_json,
    model_file: str,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    mirrored: bool,
    game: list[float],
) -> None:
    data = fastcount_data(dataset)
    truths = iter([np.array(data.annotation(i).points) for i in range(len(data))])

    def place(self: Counter, picture: np.ndarray, **options: object) -> fastcount.Counting:
        points, (height, width) = next(truths), picture.shape[:2]
        if mirrored:
            points[:, 0] = width - 1 - points[:, 0]
        if form == "points":
            return fastcount.Counting(float(len(points)), (height, width), points=points)
        density = np.zeros((height, width), np.float32)
        density[points[:, 1].astype(int), points[:, 0].astype(int)] = 1
        return fastcount.Counting(float(len(points)), (height, width), density=density, stride=1)

    monkeypatch.setattr(Counter, "__call__", place)
    assert run_json("eval", model_file, dataset, "--json")[1]["game"] == pytest.approx(game)


def fastcount_data(spec: str):
    from fastcount.data import open_dataset

    return open_dataset(spec)


def test_eval_goes_on_after_a_broken_picture(
    run_json, run, model_file: str, dataset: str, pictures: Path
) -> None:
    (pictures / "b.jpg").write_bytes(b"spoilt")
    code, report = run_json("eval", model_file, dataset, "--json")
    assert code == 1
    assert report["failed"] == 1
    code, out, err = run("eval", model_file, dataset)
    assert code == 1
    assert "MAE" in out
    assert "b.jpg" in err
    for path in pictures.glob("**/*.png"):
        path.write_bytes(b"spoilt")
    code, report = run_json("eval", model_file, dataset, "--json")
    assert code == 1
    assert (report["n"], report["failed"]) == (0, 3)
    assert report["mae"] is report["rmse"] is report["game"] is None


def test_no_game_where_a_picture_has_a_mere_count(
    run_json, model_file: str, pictures: Path, tmp_path: Path
) -> None:
    names = sorted(str(path) for path in pictures.glob("**/*.png"))
    one, other = {"path": names[0], "points": [[5, 5]]}, {"path": names[1], "count": 2}
    table = tmp_path / "mixed.json"
    for entries in ([one, other], [other, one]):
        table.write_text(json.dumps(entries))
        code, report = run_json("eval", model_file, f"json:{table}", "--json")
        assert (code, report["n"], report["game"]) == (0, 2, None)


def test_what_was_measured_before_a_stop_is_told(
    run_json, model_file: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, whole = run_json("eval", model_file, dataset, "--json")
    assert code == 0
    call, counted = Counter.__call__, []

    def stop_at_the_second(self: Counter, *arguments: object, **options: object) -> object:
        counted.append(1)
        if len(counted) == 2:
            raise KeyboardInterrupt
        return call(self, *arguments, **options)

    monkeypatch.setattr(Counter, "__call__", stop_at_the_second)
    code, report = run_json("eval", model_file, dataset, "--json")
    assert code == 1
    assert (report["n"], report["failed"]) == (1, whole["n"] - 1)


def test_eval_wrong_usage(run, model_file: str, dataset: str) -> None:
    for arguments in ((model_file, "nosuch:/x"), ("nobody", dataset), (model_file, "csv:/no/such")):
        code, out, err = run("eval", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("fastcount: ")


def test_profile(run_json, run, model_file: str) -> None:
    code, report = run_json("profile", "csrnet", "--size", "384x512", "--json")
    assert code == 0
    assert report["params"] == pytest.approx(16.26e6, rel=1e-3)
    assert report["mmacs"] == pytest.approx(81_198, rel=1e-4)
    assert report["left_out"] == 0
    assert sum(layer["mmacs"] for layer in report["layers"]) == pytest.approx(report["mmacs"])
    code, out, _ = run("profile", model_file, "--size", "64x64")
    assert code == 0
    assert "million MACs" in out
    for arguments in (
        ("mcnn", "--size", "64"),
        ("nobody",),
        ("density_fpn", "--size", "33x64"),
        ("mcnn", "--size", "4000000000000x4000000000"),
    ):
        code, out, err = run("profile", *arguments)
        assert (code, out) == (2, "")
        assert err


def test_models(
    run_json, run, model_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    code, listing = run_json("models", "--json")
    assert code == 0
    assert listing["shipped"] == []
    assert "mcnn" in listing["architectures"]
    assert "No weights" in run("models")[1]
    (tmp_path / "crowd.safetensors").write_bytes(Path(model_file).read_bytes())
    (model,) = run_json("models", "--json")[1]["shipped"]
    assert model["name"] == "crowd"
    assert model["card"]["results"] == {"mae": 1.25}
    assert "mae 1.25" in run("models")[1]
    save_model(load_model(model_file), tmp_path / "crowd.safetensors", card={"start": None, "n": 3})
    printed = run("models")[1]
    assert "n: 3" in printed
    assert "start" not in printed
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    code, out, err = run("models")
    assert (code, out) == (1, "")
    assert "broken.safetensors" in err


def test_doctor(
    run_json, run, model_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    code, report = run_json("doctor", "--json")
    assert (code, report["ok"]) == (0, True)
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert findings["torch"]["ok"]
    assert findings["native library"]["ok"]
    assert findings["native counting"]["ok"]
    assert findings["models"]["cure"]
    whole = Path(model_file).read_bytes()
    for spoilt in (b"x", whole[:-1]):
        (tmp_path / "crowd.safetensors").write_bytes(spoilt)
        code, report = run_json("doctor", "--json")
        assert (code, report["ok"]) == (1, False)
    code, out, _ = run("doctor")
    assert code == 1
    assert "BROKEN" in out
    assert "install fastcount again" in out


def test_doctor_knows_what_is_needed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[><=\[]", each)[0] for each in requirements} - {"fastcount"}

    assert set(doctor.NEEDED) == names(project["dependencies"])
    extras = project["optional-dependencies"]
    for extra, packages in doctor.EXTRAS.items():
        wanted = names(extras[extra]) | (names(extras["demo"]) if extra == "export" else set())
        assert set(packages) == wanted


def test_doctor_says_why_a_package_does_not_load(run_json, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "fastcount.ops.native", None)
    monkeypatch.setitem(sys.modules, "fastcount.runtime.native", None)
    code, report = run_json("doctor", "--json")
    assert code == 1
    broken = {finding["name"]: finding for finding in report["findings"] if not finding["ok"]}
    assert "pip install" in broken["scipy"]["cure"]
    assert "pip install" in broken["safetensors"]["cure"]
    assert broken["native library"]["cure"]
    assert broken["native counting"]["cure"]


def test_train_hands_its_arguments_on(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fit(config: Path, overrides: list[str]) -> Path:
        seen.append((config, overrides))
        if "bad=1" in overrides:
            raise ValueError("bad: no such entry")
        return Path("runs/x.safetensors")

    monkeypatch.setattr(fastcount.training, "run", fit)
    config = tmp_path / "run.yaml"
    code, out, err = run("train", config)
    assert (code, out, seen) == (2, "", [])
    assert "run.yaml" in err
    config.touch()
    code, out, _ = run("train", config, "steps=3", "model.width=8")
    assert (code, out) == (0, "runs/x.safetensors\n")
    assert seen == [(config, ["steps=3", "model.width=8"])]
    code, out, err = run("train", config, "bad=1")
    assert (code, out) == (2, "")
    assert "no such entry" in err


def test_train_takes_a_file_with_an_equals_sign_for_a_file(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def fit(config: Path, overrides: list[str]) -> Path:
        seen.append((config, overrides))
        return Path("runs/x.safetensors")

    monkeypatch.setattr(fastcount.training, "run", fit)
    config = tmp_path / "lr=1" / "s.yaml"
    code, out, err = run("train", config, "steps=3")
    assert (code, out, seen) == (2, "", [])
    assert f"there is no file among {config}, steps=3, so all are taken for KEY=VALUE" in err
    config.parent.mkdir()
    config.touch()
    long = f"name={'x' * 5000}"
    assert run("train", config, "steps=3", long)[0] == 0
    assert seen == [(config, ["steps=3", long])]


def test_version_and_help(run) -> None:
    assert run("--version")[:2] == (0, f"{fastcount.__version__}\n")
    code, out, _ = run("--help")
    assert code == 0
    assert all(name in out for name in ("count", "eval", "train", "profile", "models", "doctor"))
    assert run()[0] == 2
