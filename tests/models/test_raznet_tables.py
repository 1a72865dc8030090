"""The command that prints RAZ-Net's tables, on rendered pictures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fastcount.data import open_dataset
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.raznet import RAZNet

PICTURES = "synthetic:?kind=crowd&count=12&pictures=2&size=64&seed="


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "raznet_tables.py"
    spec = importlib.util.spec_from_file_location("raznet_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_rows_of_both_tables(
    tables: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = RAZNet(stage="zoom", width=1 / 16).eval()
    file, saved, numbers = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "c"))
    save_model(model, file)
    arguments = [str(file), "--train", f"{PICTURES}1", "--test", f"{PICTURES}2", "--depth", "2"]
    options = ["--paper", "B", "--save", str(saved), "--json", str(numbers)]
    counts = tables.main([*arguments, *options])["counts"]
    rows = {"density", *(f"{name}_{d}" for name in ("loc", "average", "fusion") for d in (1, 2))}
    assert set(counts) == rows
    data, errors = open_dataset(f"{PICTURES}2"), []
    with torch.no_grad():
        for index in range(2):
            image = data[index]["image"].float().div(255)[None]
            errors.append(abs(float(model(image).count) - 12))
    assert counts["density"][0] == pytest.approx(sum(errors) / 2, rel=1e-4)
    assert json.loads(numbers.read_text())["counts"]["density"][0] == counts["density"][0]
    assert not torch.isnan(load_model(saved).theta).any()  # type: ignore[union-attr, arg-type]
    printed = capsys.readouterr().out
    assert "fusion_2" in printed
    assert "13.5" in printed  # the paper's RAZ_localization on part B


def test_other_models_are_refused(tables: ModuleType, tmp_path: Path) -> None:
    save_model(RAZNet(stage="counting", width=1 / 16), tmp_path / "a.safetensors")
    with pytest.raises(SystemExit):
        tables.main([str(tmp_path / "a.safetensors"), "--train", PICTURES, "--test", PICTURES])
