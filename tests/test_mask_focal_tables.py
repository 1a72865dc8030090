"""The command behind the tables of Mask Focal Loss, on a handful of small pictures."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from PIL import Image

TABLES = Path(__file__).resolve().parent.parent / "benchmarks" / "mask_focal_tables.py"


def coco(folder: Path, seed: int) -> Path:
    folder.mkdir()
    images, annotations = [], []
    for number in range(8):
        generator = torch.Generator().manual_seed(seed + number)
        pixels = torch.randint(0, 90, (48, 64, 3), generator=generator)
        for k in range(number):
            x, y = 3 + 14 * (k % 4), 5 + 18 * (k // 4)
            pixels[y : y + 12, x : x + 12] += 150
            annotations.append(
                {"image_id": number, "category_id": 1, "bbox": [x, y, 12, 12], "iscrowd": 0}
            )
        Image.fromarray(pixels.byte().numpy()).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
    file = folder / "boxes.json"
    categories = [{"id": 1, "name": "head"}]
    file.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return file


def test_a_row_is_trained_measured_and_remembered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, other = (f"coco:{coco(tmp_path / str(seed), seed)}" for seed in (0, 100))
    main = runpy.run_path(str(TABLES))["main"]
    output = tmp_path / "out"
    command = ["--table", "7", "--train", spec, "--test", other, "--output", str(output)]
    command += ["--backbone", "mobilenetv3_small_100", "--channels", "32", "--levels", "3", "4"]
    command += ["--steps", "1", "--batch", "2", "--crop", "64", "--validation", "0.4"]
    command += ["--resize", "0.5", "--scale", "0.9", "1.1", "--device", "cpu"]
    rows = ["--rows", "centernet-mask_focal_poly", "fcos-mask_focal", "--seeds", "0", "1"]
    main([*command, *rows])
    printed = capsys.readouterr().out
    assert "centernet-mask_focal_poly" in printed
    assert "35.83" in printed
    assert "±" in printed
    results = sorted(output.glob("*.json"))
    assert len(results) == 4
    known = json.loads(results[0].read_text())
    assert known["n"] == 8
    assert known["class_mae"] == {"head": known["mae"]}
    results[0].write_text(json.dumps({**known, "mae": 2e6}))
    main([*command, *rows])
    assert "1000" in capsys.readouterr().out  # a mean of what is known, not measured again
    results[0].unlink()
    main([*command, *rows])
    assert json.loads(results[0].read_text()) == known  # measured again, of the same model
    with pytest.raises(SystemExit, match="other settings"):
        main([*command, *rows, "--lr", "1"])
    with pytest.raises(SystemExit):
        main([*command, "--rows", "nothing"])
