"""CountSeg's Table 5 on nuclei: instance masks by a network that has seen counts alone.

    python benchmarks/countseg_masks.py --data FOLDER [--tile 96] [--backbone NAME --weights PATH]
        [--size 256] [--steps 200 120] [--pictures 100] [--output FOLDER]

FOLDER is BBBC039's, or any that ``instance_masks`` reads. Its pictures are cut into square tiles,
most of which hold a few nuclei; every fourth picture's tiles are the test. The network is trained
in two stages on the counts of the other tiles, of which those above four are cut; masks and points
are not used. Then each peak of a test tile takes one of the proposals made from colours. The first
row scores them without the density (the peak response maps of Zhou et al. 2018), the second as in
eq. 9, with it; the last takes the best proposal for each true mask: no scoring can do better.
Stopped and started again it goes on where it was. The paper's numbers are of Pascal VOC 2012.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fastcount.data.instance_masks import InstanceMasks
from fastcount.files import atomic_write
from fastcount.metrics import CountError, MaskAP
from fastcount.models.checkpoint import load_model
from fastcount.models.countseg import CountSeg
from fastcount.models.parts.mask_proposals import propose_masks
from fastcount.training.fit import fit

COLUMNS = ("map_25", "map_50", "map_75", "abo")
PAPER = {
    "without the density (PRM)": (44.3, 26.8, 9.0, 37.6),
    "eq. 9": (48.5, 30.2, 14.4, 44.3),
    "best of the proposals": (),
}
GAMMA = {"without the density (PRM)": 0.0, "eq. 9": 1.0}


def cut_tiles(options: argparse.Namespace) -> None:
    """Writes ``OUTPUT/{train,test}/{images,masks}``, unless they are there."""
    done = options.output / "tiles.json"
    settings = {"data": str(options.data), "tile": options.tile}
    if done.is_file():
        if json.loads(done.read_text()) != settings:
            raise SystemExit(f"{options.output}: holds tiles of other settings; choose another")
        return
    data = InstanceMasks(options.data)
    for index, name in enumerate(data.ids):
        folder = options.output / ("test" if index % 4 == 3 else "train")
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        picture, objects = data.picture(index), data.objects(index)
        side = options.tile
        for top in range(0, picture.shape[0] - side + 1, side):
            for left in range(0, picture.shape[1] - side + 1, side):
                part = (slice(top, top + side), slice(left, left + side))
                _, own = np.unique(objects[part], return_inverse=True)
                numbers = own.reshape(side, side) + (objects[part].min() > 0)
                file = f"{name}_{top}_{left}.png"
                Image.fromarray(picture[part]).save(folder / "images" / file)
                Image.fromarray(numbers.astype(np.uint8)).save(folder / "masks" / file)
    with atomic_write(done, "w") as file:
        json.dump(settings, file)


def train(options: argparse.Namespace) -> CountSeg:
    """Two runs, the second from the first, on the counts of the training tiles."""
    spec, test = (f"instance_masks:{options.output}/{part}?instances=labels" for part in PARTS)
    model: dict[str, Any] = {"name": "countseg", "backbone": options.backbone, "channels": 32}
    model["size"] = options.size
    if options.weights:
        model["weights"] = options.weights
    for stage, steps in enumerate(options.steps, start=1):
        config = {
            "name": f"stage-{stage}",
            "model": {**model, "stage": stage},
            # smaller only: nothing is cut off, so the count of a tile stays what it is
            "train": [{"dataset": spec, "scale": [0.8, 1.0]}],
            "holdout": [test],
            "validation": 0.1,
            "augment": {"vertical_flip": True},
            "batch_size": 8,
            "steps": steps,
            "validate_every": max(1, steps // 2),
            "warmup": 10,
            "lr": 2e-3 / stage,
            "backbone_lr": 4e-4 / stage,
            "ema": 0.0,
            "seed": options.seed,
            "output": str(options.output),
        }
        if stage > 1:
            config["start"] = "stage-1"
        path = options.output / f"stage-{stage}.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        file = fit(path)
    trained = load_model(file)
    assert isinstance(trained, CountSeg)
    return trained


PARTS = ("train", "test")


def measure(model: CountSeg, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The four numbers in per cent of every row, and the errors of the tiles' counts."""
    data = InstanceMasks(options.output / "test", instances="labels")
    drawn = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    chosen = sorted(drawn[: options.pictures].tolist())
    metrics = {row: MaskAP() for row in PAPER}
    counts = CountError()
    side = options.size
    for done, index in enumerate(chosen, start=1):
        pixels = torch.from_numpy(data.picture(index)).permute(2, 0, 1)[None].float() / 255
        image = F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
        truth = enlarged(torch.from_numpy(data.objects(index)), side)
        colours = (image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        proposals = torch.from_numpy(propose_masks(colours))
        for row, gamma in GAMMA.items():
            (found,) = model.segment(image, [proposals], gamma=gamma)
            metrics[row].update(found.masks, found.scores, truth)
        metrics["best of the proposals"].update(proposals, torch.zeros(len(proposals)), truth)
        with torch.no_grad():
            counts.update(model(image).count.round(), torch.tensor([float(len(truth))]))
        print(f"{done}/{len(chosen)} {data.ids[index]}", file=sys.stderr)
    report = {
        row: {name: 100 * float(value) for name, value in metric.compute().items()}
        for row, metric in metrics.items()
    }
    for name in ("map_25", "map_50", "map_75"):  # it ranks nothing
        del report["best of the proposals"][name]
    report["counts"] = {name: float(value) for name, value in counts.compute().items()}
    return report


def enlarged(objects: Tensor, side: int) -> Tensor:
    """(N, side, side) bool: one mask for every object of (H, W) numbers from 1."""
    large = F.interpolate(objects[None, None].double(), size=(side, side), mode="nearest")[0]
    return large == torch.arange(1, int(objects.max()) + 1).view(-1, 1, 1)


def show(report: dict[str, dict[str, float]]) -> None:
    table = Table(title="Table 5, per cent: mAP at 0.25, 0.5 and 0.75, average best overlap")
    for column in ("scores", "paper", "ours"):
        table.add_column(column)
    for row, paper in PAPER.items():
        ours = " ".join(f"{report[row][c]:.1f}" if c in report[row] else "-" for c in COLUMNS)
        table.add_row(row, " ".join(f"{value:.1f}" for value in paper), ours)
    Console(highlight=False).print(table)


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tile", type=int, default=96)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--weights")
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--steps", type=int, nargs=2, default=[2000, 1000])
    parser.add_argument("--pictures", type=int, help="test tiles measured; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/countseg-masks"))
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    cut_tiles(options)
    report = measure(train(options), options)
    show(report)
    text = {"options": vars(options), **report}
    with atomic_write(options.output / "results.json", "w") as file:
        json.dump(text, file, indent=1, default=str)
    return report


if __name__ == "__main__":
    main()
