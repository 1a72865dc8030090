from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_runs import write_run
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from fastcount.data import open_dataset
from fastcount.models import create_model
from fastcount.training.config import Augment, Part
from fastcount.training.crops import Crops, CropSampler, collate
from fastcount.training.mixture import TrainingPictures
from tests.two_processes import in_two_processes

BATCH = 4


def gradients(rank: int, world: int) -> dict[str, torch.Tensor]:
    """The gradient of the first step of a run, by the process ``rank`` of ``world``."""
    torch.manual_seed(0)
    # batch norm with running averages: its batch statistics are each process's own by design
    model = create_model("density_fpn").eval()
    data = open_dataset("synthetic:?kind=cells&count=20&pictures=6&size=96")
    crops = Crops(
        [TrainingPictures(data, range(6), Part("cells"), None)], (64, 64), Augment(), seed=3
    )
    sampler = CropSampler(1, BATCH // world, rank=rank, world=world)
    ((images, targets),) = next(
        iter(DataLoader(crops, batch_size=BATCH // world, sampler=sampler, collate_fn=collate))
    )
    wrapped = DistributedDataParallel(model) if world > 1 else model
    model.loss(wrapped(images), targets)["loss"].backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def worker(rank: int, folder: Path) -> None:
    torch.save(gradients(rank, 2), folder / f"{rank}.pt")


def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    in_two_processes(worker, tmp_path)
    one = gradients(0, 1)
    assert len(one) > 50
    for rank in range(2):
        both = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert both.keys() == one.keys()
        for name, gradient in one.items():
            scale = gradient.abs().max().clamp_min(1e-8)
            assert ((both[name] - gradient).abs().max() / scale) < 1e-4, name


@pytest.mark.slow
def test_two_processes_validate_as_one_does(tmp_path: Path) -> None:
    """Three pictures of one set, and one of another, which leaves a process without."""
    errors = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        folder.mkdir()
        some = "synthetic:?kind=cells&count=19&least=2&size=64&pictures="
        config = write_run(
            folder,
            train=[{"dataset": some + "8&seed=1"}, {"dataset": some + "3"}],
            validation_seed=4,
            lr=0.0,
            backbone_lr=0.0,
            ema=0.0,
            devices=devices,
        )
        command = [sys.executable, "-m", "fastcount", "train", str(config)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        with (folder / "tiny" / "csv" / "metrics.csv").open(encoding="utf-8") as file:
            *_, last = csv.DictReader(file)
        errors.append({name: float(last[name]) for name in last if name.startswith("val_")})
    one, two = errors
    assert len(one) == 5  # of each set, and of both
    assert two == pytest.approx(one, rel=1e-4)
