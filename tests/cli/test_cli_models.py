"""Models of several kinds from a run's file to a count and a measurement, by commands alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RUN = """
name: run
model: MODEL
train:
  - dataset: "synthetic:?kind=cells&count=4&pictures=8&size=64"
validation: 0.3
crop: [64, 64]
batch_size: 2
steps: 1
validate_every: 1
ema: 0.0
accelerator: cpu
threads: 1
output: OUTPUT
"""
SMALL = "backbone: mobilenetv3_small_050"


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        "{name: cannet, width: 0.0625}",
        "{name: raznet, stage: zoom, width: 0.0625}",
        f"{{name: countseg, {SMALL}, channels: 8}}",
        f"{{name: leaf_regression, {SMALL}, size: [64, 64]}}",
        f"{{name: leaf_joint, {SMALL}, channels: 8, size: [64, 64]}}",
    ],
)
def test_train_count_and_eval(run, run_json, tmp_path: Path, model: str) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("MODEL", model).replace("OUTPUT", str(tmp_path)))
    code, out, err = run("train", config)
    assert code == 0, err
    file = out.strip()
    pictures = [tmp_path / "wide.png", tmp_path / "tall.png"]
    for path, size in zip(pictures, ((50, 90, 3), (81, 40, 3)), strict=True):
        Image.fromarray(np.zeros(size, np.uint8)).save(path)
    code, found = run_json("count", *pictures, "--model", file, "--format", "json")
    assert code == 0
    assert len(found) == 2
    assert all(np.isfinite(one["count"]) for one in found)
    dataset = "synthetic:?kind=cells&count=4&pictures=3&size=48"
    code, report = run_json("eval", file, dataset, "--json")
    assert (code, report["n"]) == (0, 3)
    assert np.isfinite(report["mae"])
    assert ("coverage" in report) == ("leaf_joint" in model)
