"""Whole runs of a small model on rendered pictures, in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.density_fpn import DensityFPN
from fastcount.models.neighbour_sigma import NeighbourSigma
from fastcount.training.fit import fit
from fastcount.training.mixture import TrainingPictures
from fastcount.training.module import CountingModule

RUN = """
name: tiny
model: {name: density_fpn, width: 16, depth: 1}
train:
  - dataset: "synthetic:?kind=cells&count=20&pictures=12&size=64"
validation: 0.3
crop: [64, 64]
batch_size: 2
steps: 24
validate_every: 4
lr: 0.001
ema: 0.9
calibrate: true
accelerator: cpu
threads: 1
output: OUTPUT
"""


def start(folder: Path, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    config = folder / f"{name}.yaml"
    config.write_text(RUN.replace("OUTPUT", str(folder / name)))
    process = subprocess.Popen(
        [sys.executable, "-m", "fastcount", "train", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    return process, folder / name / "tiny"


def finish(process: subprocess.Popen[bytes]) -> str:
    output, _ = process.communicate(timeout=300)
    text = output.decode()
    assert process.returncode == 0, text
    return text


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    whole, whole_folder = start(tmp_path, "whole")
    killed, killed_folder = start(tmp_path, "killed")
    deadline = time.time() + 120
    while not (killed_folder / "last.ckpt").exists() and time.time() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (killed_folder / "tiny.safetensors").exists(), "it had finished before the kill"
    finish(whole)

    resumed, _ = start(tmp_path, "killed")
    assert "going on from" in finish(resumed)
    a = load_file(whole_folder / "tiny.safetensors")
    b = load_file(killed_folder / "tiny.safetensors")
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name

    again, _ = start(tmp_path, "killed")  # nothing left to do
    finish(again)
    config = tmp_path / "killed.yaml"
    config.write_text(config.read_text().replace("lr: 0.001", "lr: 0.002"))
    other = subprocess.run(
        [sys.executable, "-m", "fastcount", "train", str(config)], capture_output=True, check=False
    )
    assert other.returncode == 2
    assert b"other settings" in other.stderr


@pytest.mark.slow
def test_mixed_precision_runs_and_leaves_a_float32_model(tmp_path: Path) -> None:
    config = tmp_path / "half.yaml"
    text = RUN.replace("OUTPUT", str(tmp_path / "half")).replace("steps: 24", "steps: 4")
    config.write_text(text + "precision: bf16-mixed\n")
    command = [sys.executable, "-m", "fastcount", "train", str(config)]
    written = subprocess.check_output(command, stderr=subprocess.PIPE, text=True).strip()
    weights = load_file(written)
    floats = [tensor for tensor in weights.values() if tensor.is_floating_point()]
    assert floats
    assert all(t.dtype == torch.float32 and torch.isfinite(t).all() for t in floats)
    assert (tmp_path / "half" / "tiny" / "tensorboard").is_dir()


def test_a_run_begins_where_another_ended(tmp_path: Path) -> None:
    """With a learning rate of zero a second run gives back what the first had learnt."""
    first = create_model("density_fpn", width=16, depth=1)
    torch.manual_seed(7)
    for parameter in first.parameters():
        torch.nn.init.normal_(parameter)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    save_model(first, tmp_path / "runs" / "first" / "first.safetensors")
    config = tmp_path / "second.yaml"
    text = RUN.replace("OUTPUT", str(tmp_path / "runs")).replace("steps: 24", "steps: 1")
    text = text.replace("lr: 0.001", "lr: 0.0\nbackbone_lr: 0.0").replace("calibrate: true", "")
    config.write_text(text.replace("validate_every: 4", "validate_every: 1") + "start: first\n")
    learnt = load_file(fit(config))
    for name, parameter in first.named_parameters():
        torch.testing.assert_close(learnt[name], parameter.detach())

    with pytest.raises(ValueError, match="neither a model file nor a run in"):
        fit(config, ["start=nothing", "name=third"])
    with pytest.raises(ValueError, match="do not fit") as refused:
        fit(config, ["model={name: density_fpn, width: 24}", "name=fourth"])
    assert "it holds density_fpn {'width': 16, 'depth': 1}" in str(refused.value)
    assert len(str(refused.value)) < 1000
    with pytest.raises(
        ValueError, match=r"not mcnn .*; \d+ missing \(.*\.\.\.\); \d+ too many"
    ) as refused:
        fit(config, ["model={name: mcnn}", "name=fifth"])
    assert len(str(refused.value)) < 1000


def test_what_would_fail_after_training_is_said_before(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("OUTPUT", str(tmp_path / "out")))
    with pytest.raises(ValueError, match="mcnn cannot scale its counts"):
        fit(config, ["model={name: mcnn}"])
    assert not list((tmp_path / "out").glob("**/*.ckpt"))
    # what was wrong can be put right in the same place
    fit(config, ["model={name: mcnn}", "calibrate=false", "steps=4"])


@pytest.mark.parametrize(
    ("model", "cure"),
    [
        ("density_fpn", r"takes sides that are multiples of 32; \[96, 128\], say"),
        ("centernet", r"takes sides that are multiples of 32; \[96, 128\], say"),
        ("deepcount", r"takes \[384, 512\] alone"),
    ],
)
def test_a_crop_that_the_model_cannot_take(tmp_path: Path, model: str, cure: str) -> None:
    config = tmp_path / "run.yaml"
    text = RUN.replace("OUTPUT", str(tmp_path / "out")).replace("calibrate: true", "")
    config.write_text(text)
    with pytest.raises(ValueError, match=rf"^crop: got \[95, 97\], and {model} {cure}"):
        fit(config, ["crop=[95, 97]", f"model={{name: {model}}}"])
    assert not (tmp_path / "out").exists()
    fit(config, ["crop=[66, 67]", "model={name: mcnn}", "steps=1"])  # which takes any


def test_a_run_needs_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("OUTPUT", str(tmp_path / "out")))
    monkeypatch.setenv("PATH", str(tmp_path))
    written = fit(config, ["steps=4"])
    assert load_model(written).card["commit"] is None


def test_what_a_loss_draws_goes_on_with_a_stopped_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = DensityFPN.loss

    def drawn(self: DensityFPN, output: Any, targets: Any) -> dict[str, torch.Tensor]:
        return {"loss": plain(self, output, targets)["loss"] * torch.rand(())}

    monkeypatch.setattr(DensityFPN, "loss", drawn)
    results = []
    for name in ("whole", "stopped"):
        config = tmp_path / f"{name}.yaml"
        config.write_text(RUN.replace("OUTPUT", str(tmp_path / name)))
        if name == "stopped":
            with monkeypatch.context() as context:
                context.setattr(CountingModule, "training_step", stop_at(6))
                with pytest.raises(RuntimeError, match="stopped"):
                    fit(config, ["steps=8"])
            assert (tmp_path / name / "tiny" / "last.ckpt").exists()
        fit(config, ["steps=8"])
        # The last one: the best may be of a step before the stop.
        last = torch.load(tmp_path / name / "tiny" / "last.ckpt", weights_only=True)
        results.append(last["state_dict"])
    whole, stopped = results
    assert all(torch.equal(whole[key], stopped[key]) for key in whole)


def stop_at(step: int) -> Any:
    plain = CountingModule.training_step

    def training_step(self: CountingModule, batch: Any, index: int) -> torch.Tensor:
        if self.global_step == step:
            raise RuntimeError("stopped")
        return plain(self, batch, index)

    return training_step


def test_what_is_not_trained_stays_as_it_is_to_the_bit(tmp_path: Path) -> None:
    """Also in the running mean of the weights."""
    options = {"backbone": "mobilenet_v2", "width": 1 / 16}
    first = create_model("raznet", stage="counting", **options)
    save_model(first, tmp_path / "first.safetensors")
    config = tmp_path / "second.yaml"
    text = RUN.replace("OUTPUT", str(tmp_path / "runs")).replace("calibrate: true", "")
    config.write_text(text + f"start: {tmp_path / 'first.safetensors'}\n")
    model = "model={name: raznet, stage: localization, backbone: mobilenet_v2, width: 0.0625}"
    learnt = load_file(fit(config, [model, "steps=8", "ema=0.999"]))
    before = first.state_dict()
    same = {name: torch.equal(learnt[name], before[name]) for name in before}
    assert all(same[name] for name in same if name.startswith(("backbone.", "counting.")))
    assert not all(same[name] for name in same if name.startswith("localization."))


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("OUTPUT", str(tmp_path / "out")))
    whole = load_file(fit(config, ["steps=8"]))
    folder = tmp_path / "out" / "tiny"
    (folder / "last.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:1000])
    (folder / ".last.1-aa.ckpt").write_bytes(b"of a run that was killed")
    told: list[str] = []
    again = load_file(fit(config, ["steps=8"], say=told.append))
    assert any("last.ckpt is damaged and passed over" in line for line in told)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert not list(folder.glob(".*"))
    for name in ("last.ckpt", "best.ckpt"):
        (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="its checkpoints are damaged"):
        fit(config, ["steps=8"])


def test_a_run_that_did_not_begin_does_not_hold_its_name(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("OUTPUT", str(tmp_path / "out")))
    with pytest.raises(ValueError, match="no file nope"):
        fit(config, ["train=[{dataset: 'csv:nope.csv'}]", "steps=4"])
    with pytest.raises(ValueError, match="unexpected keyword argument 'foo'"):
        fit(config, ["model={name: mcnn, foo: 1}"])
    with pytest.raises(ValueError, match=r"run\.yaml: model: .*negative dimension"):
        fit(config, ["model={name: density_fpn, width: -3}"])
    with pytest.raises(ValueError, match="accelerator"):
        fit(config, ["accelerator=nothing", "steps=4"])
    written = fit(config, ["steps=4"])
    assert written.stat().st_mode & 0o777 == config.stat().st_mode & 0o777
    (written.parent / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json: is damaged"):
        fit(config, ["steps=4"])


def test_a_checkpoint_is_never_copied_over_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is where a temporary file lies on another file system; a kill would leave neither."""

    def copied(source: str, target: str) -> None:
        raise AssertionError(f"{source} was moved to {target}")

    monkeypatch.setattr(shutil, "move", copied)
    config = tmp_path / "run.yaml"
    config.write_text(RUN.replace("OUTPUT", str(tmp_path / "out")))
    written = fit(config, ["steps=8"])
    assert (written.parent / "last.ckpt").exists()


@pytest.mark.parametrize("override", [None, "sigma_knn={k: 1, beta: 0.5}"])
def test_crops_have_the_kernels_of_the_recipe_or_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str | None
) -> None:
    seen = []
    plain = TrainingPictures.__init__

    def watched(self: TrainingPictures, *arguments: Any) -> None:
        seen.append(arguments[3])
        plain(self, *arguments)

    monkeypatch.setattr(TrainingPictures, "__init__", watched)
    config = tmp_path / "run.yaml"
    text = RUN.replace("OUTPUT", str(tmp_path / "out")).replace("calibrate: true", "")
    config.write_text(text)
    fit(config, ["model={name: mcnn}", "steps=4", *([override] if override else [])])
    expected = NeighbourSigma(k=1, beta=0.5) if override else NeighbourSigma(k=3, beta=0.3)
    assert seen == [expected]
