"""Model files: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model

MODELS: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("mcnn", {"sigma": 7.0}, (32, 40)),
    ("csrnet", {"width": 0.05}, (32, 40)),
    ("cannet", {"width": 0.05, "sigma": "adaptive"}, (32, 40)),
    ("deepcount", {"width": 1 / 32, "branches": (3,), "loss": "public"}, (384, 512)),
]


@pytest.mark.parametrize(("name", "config", "size"), MODELS)
def test_round_trip(
    name: str, config: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    model = create_model(name, **config).eval()
    path = tmp_path / "deep" / "model.safetensors"
    save_model(model, path, card={"data": "rendered", "mae": 1.5})
    loaded = load_model(path)
    assert type(loaded) is type(model)
    assert loaded.card == {"data": "rendered", "mae": 1.5}
    assert json.dumps(loaded.config) == json.dumps(model.config)
    assert not loaded.training
    images = torch.rand(1, 3, *size)
    with torch.no_grad():
        assert torch.equal(loaded(images).count, model(images).count)


def test_the_card_survives_saving_again(tmp_path: Path) -> None:
    save_model(create_model("mcnn"), tmp_path / "a.safetensors", card={"terms": "research"})
    save_model(load_model(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    assert load_model(tmp_path / "b.safetensors").card == {"terms": "research"}
    save_model(create_model("mcnn"), tmp_path / "c.safetensors")
    assert load_model(tmp_path / "c.safetensors").card == {}


def test_each_new_model_has_an_empty_card_of_its_own() -> None:
    one, other = create_model("mcnn"), create_model("mcnn")
    one.card["terms"] = "research"
    assert other.card == {}


def test_layout_of_the_file(tmp_path: Path) -> None:
    save_model(create_model("mcnn", sigma=3.0), tmp_path / "a.safetensors", card={"x": 1})
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        document = json.loads(file.metadata()["fastcount"])
    assert document == {"format": 1, "model": "mcnn", "config": {"sigma": 3.0}, "card": {"x": 1}}


def test_channels_last_weights_are_saved(tmp_path: Path) -> None:
    model = create_model("mcnn").to(memory_format=torch.channels_last)
    save_model(model, tmp_path / "a.safetensors")
    for name, tensor in load_model(tmp_path / "a.safetensors").state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_half_precision_comes_back_in_float32(tmp_path: Path) -> None:
    model = create_model("mcnn").half()
    save_model(model, tmp_path / "a.safetensors")
    loaded = load_model(tmp_path / "a.safetensors")
    assert next(loaded.parameters()).dtype == torch.float32
    torch.testing.assert_close(loaded.fuse.weight, model.fuse.weight.float())


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = create_model("mcnn")
    with torch.no_grad():
        next(model.parameters()).view(-1)[3] = torch.nan
    save_model(model, tmp_path / "spoilt.safetensors")
    with pytest.raises(ValueError, match=r"spoilt\.safetensors holds values that are not finite"):
        load_model(tmp_path / "spoilt.safetensors")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    save_model(create_model("mcnn"), path, card={"which": "old"})

    def half(state: object, filename: Path, metadata: object) -> None:
        Path(filename).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("fastcount.models.checkpoint.save_file", half)
    with pytest.raises(OSError, match="disk full"):
        save_model(create_model("mcnn"), path)
    assert load_model(path).card == {"which": "old"}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(TypeError, match="card, config"):
        save_model(create_model("mcnn"), path, card={"tensor": torch.zeros(1)})


def _file(path: Path, document: object, **weights: torch.Tensor) -> Path:
    text = document if isinstance(document, str) else json.dumps(document)
    save_file(weights or {"x": torch.zeros(1)}, path, {"fastcount": text})
    return path


GOOD = {"format": 1, "model": "mcnn", "config": {}, "card": {}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "broken"),
        ("[" * 100_000, "broken"),
        ([1], "broken"),
        ({"format": 1}, "broken"),
        ({**GOOD, "card": 3}, "broken"),
        ({**GOOD, "format": 2}, "format 2, this fastcount reads 1"),
        ({**GOOD, "config": {"weights": "imagenet"}}, "asks for weights"),
        ({**GOOD, "model": "nobody"}, "no model is called 'nobody'"),
        ({**GOOD, "config": {"depth": 4}}, "unexpected keyword argument 'depth'"),
        (GOOD, "Missing key"),
    ],
)
def test_other_files_are_refused(document: object, message: str, tmp_path: Path) -> None:
    path = _file(tmp_path / "a.safetensors", document)
    with pytest.raises(ValueError, match=message) as error:
        load_model(path)
    assert str(path) in str(error.value)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        load_model(tmp_path / "gone.safetensors")
    plain = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(1)}, plain)
    with pytest.raises(ValueError, match="does not say which model"):
        load_model(plain)
    save_model(create_model("mcnn"), tmp_path / "whole.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "whole.safetensors").read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"not a whole safetensors file .*download it again"):
        load_model(cut)
    exported = tmp_path / "whole.onnx"
    exported.write_bytes(b"onnx" * 100)
    with pytest.raises(ValueError, match="give the one that training wrote"):
        load_model(exported)
