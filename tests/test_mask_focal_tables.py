"""The command behind the tables of Mask Focal Loss, on a handful of small pictures."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from PIL import Image

TABLES = Path(__file__).resolve().parent.parent / "benchmarks" / "mask_focal_tables.py"


def coco(folder: Path) -> Path:
    images, annotations = [], []
    for number in range(8):
        pixels = torch.randint(0, 90, (48, 64, 3), generator=torch.Generator().manual_seed(number))
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
    spec = f"coco:{coco(tmp_path)}"
    main = runpy.run_path(str(TABLES))["main"]
    output = tmp_path / "out"
    command = ["--table", "7", "--train", spec, "--test", spec, "--output", str(output)]
    command += ["--rows", "centernet*", "--backbone", "mobilenetv3_small_100", "--channels", "16"]
    command += ["--steps", "2", "--batch", "2", "--crop", "64", "--validation", "0.4"]
    command += ["--seeds", "0", "1", "--device", "cpu"]
    main(command)
    printed = capsys.readouterr().out
    assert "centernet*" in printed
    assert "35.83" in printed
    assert "±" in printed
    results = sorted(output.glob("*.json"))
    assert len(results) == 2
    assert json.loads(results[0].read_text())["n"] == 8
    results[0].write_text(json.dumps({"mae": 1000.0, "rmse": 1000.0}))
    main(command)
    assert "±" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--rows", "nothing"])
