"""``fastcount train CONFIG``: one run from its YAML file to a model file."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    Timer,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from fastcount.class_names import require_same_classes
from fastcount.data.base import CountingDataset
from fastcount.models import CountingModel, create_model
from fastcount.models.checkpoint import save_model
from fastcount.models.parts.box_detector import BoxDetector
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.training.calibration import best_factor, best_std_factor
from fastcount.training.checkpoints import (
    WholeCheckpoints,
    checkpoint_to_go_on_from,
    steps_done,
)
from fastcount.training.config import Config, load_config
from fastcount.training.crop_size import require_crop
from fastcount.training.finite import FiniteWeights
from fastcount.training.lock import only_one
from fastcount.training.metrics_file import MetricsFile
from fastcount.training.module import CountingModule
from fastcount.training.pictures import PicturesModule
from fastcount.training.same_run import same_data, same_settings
from fastcount.training.score_threshold import choose_score_threshold
from fastcount.training.start import begin_from, other_split
from fastcount.training.steps import Steps


def fit(
    path: Path, overrides: list[str] | None = None, *, say: Callable[[str], None] | None = None
) -> Path:
    """Trains the run that ``path`` describes and returns the model file it leaves behind.

    A run that was stopped, however hard, goes on from its last checkpoint when it is started
    again, to the same result as if it had not been stopped. The checkpoint is chosen on the
    validation split alone.

    Raises ``ValueError`` for a bad configuration and ``OSError`` where files cannot be written or
    another process is training the run, ``FloatingPointError`` where the training diverged.
    """
    say = say or (lambda line: print(line, file=sys.stderr))
    config = load_config(path, overrides)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    lightning.seed_everything(config.seed, verbose=False)
    arguments = dict(config.model)
    try:
        model = create_model(arguments.pop("name"), **arguments)
    except (TypeError, RuntimeError) as wrong:  # the latter of sides below 0, say
        raise ValueError(f"{path}: model: {wrong}") from wrong
    require_crop(model, config.crop)
    if config.calibrate:
        copy.deepcopy(model).scale_counts(1.0)  # so that a model that cannot says so now
    folder = Path(config.output) / config.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"output: {folder} cannot be made ({error})") from error
    # The processes that a run on several devices starts are part of the first one's run.
    first = getattr(rank_zero_only, "rank", 0) == 0
    with only_one(folder, say) if first else nullcontext():
        return _train(model, config, folder, path, overrides, say)


def _train(
    model: CountingModel,
    config: Config,
    folder: Path,
    path: Path,
    overrides: list[str] | None,
    say: Callable[[str], None],
) -> Path:
    """:func:`fit` from where the run's folder is its own."""
    same_settings(config, folder)
    pictures = _pictures(model, config, folder, say)
    if config.start is not None:
        card = begin_from(model, config.start, Path(config.output))
        if pictures.validation and (told := other_split(config, card)) is not None:
            say(told)
    fixed = {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if not weight.requires_grad
    }
    module = CountingModule(
        model.to(memory_format=torch.channels_last),
        config,
        list(pictures.validation),
    )
    # Saved at the very end of an epoch: a checkpoint written inside one would be resumed inside.
    best = ModelCheckpoint(
        folder,
        "best",
        monitor="val_mae",
        mode="min",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(
        folder, "last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    stopped = checkpoint_to_go_on_from(folder, say)
    if stopped is not None:
        say(f"going on from {stopped}")
    timer = Timer()  # goes on counting where a stopped run left it
    callbacks: list[Callback] = [Steps(), FiniteWeights(), best, last, timer, LearningRateMonitor()]
    if config.ema:
        callbacks.append(EMAWeightAveraging(decay=config.ema))
    if sys.stderr.isatty():
        callbacks.append(RichProgressBar())
    trainer = _trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        precision=config.precision,
        max_steps=config.steps,
        gradient_clip_val=config.gradient_clip,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=25,
        logger=[
            TensorBoardLogger(folder, name="", version="tensorboard"),
            MetricsFile(folder / "csv" / "metrics.csv", steps_done(stopped) if stopped else 0),
        ],
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(
        module,
        datamodule=pictures,
        ckpt_path=stopped,
        weights_only=True,
    )

    chosen = Path(best.best_model_path or folder / "last.ckpt")
    state = torch.load(chosen, map_location="cpu", weights_only=True)["state_dict"]
    # A running mean of what does not change is off in the last digit.
    model.load_state_dict({k.removeprefix("model."): v for k, v in state.items()} | fixed)
    result = folder / f"{config.name}.safetensors"
    if trainer.is_global_zero:
        score = best.best_model_score
        error = None if score is None else float(score)
        card = _card(config, path, overrides, pictures, error)
        card["seconds"] = round(timer.time_elapsed())
        if isinstance(model, BoxDetector) and pictures.validation:
            card |= _choose_threshold(model, pictures)
        if config.calibrate:
            card |= _calibrate(model, pictures)
        save_model(model, result, card=card)
        told = "" if error is None else f": validation error {error:.4f}"
        say(f"wrote {result}{told}")
    return result


def _pictures(
    model: CountingModel, config: Config, folder: Path, say: Callable[[str], None]
) -> PicturesModule:
    """The run's pictures, which fit the model and are those that the run began with; tells which
    of them are left out."""
    pictures = PicturesModule(config, model.tiling, config.sigma_knn or model.kernels)
    for part in pictures.parts:
        require_same_classes(model.classes, part.dataset.classes, part.part.dataset)
    same_data(pictures.fingerprints, folder)
    if not pictures.validation:
        if config.calibrate:
            raise ValueError(
                "calibrate: needs validation pictures, and there are none; give a data set of "
                "train validate: true, or leave calibrate out"
            )
        say("no validation pictures: what the last step leaves is kept")
    for dropped in pictures.dropped:
        say(f"not used, its picture is in a held-out set: {dropped}")
    for copied in pictures.copies:
        say(f"not trained on, it is a copy of a validation picture: {copied}")
    return pictures


def _trainer(**options: Any) -> lightning.Trainer:
    try:
        return lightning.Trainer(**options)
    except MisconfigurationException as error:  # no such accelerator, say
        raise ValueError(f"accelerator, devices, precision: {error}") from error


def _choose_threshold(model: BoxDetector, pictures: PicturesModule) -> dict[str, float]:
    """Sets the score that counts best on the validation pictures, and returns it."""
    samples = (subset[i] for subset in pictures.validation.values() for i in range(len(subset)))
    threshold, _ = choose_score_threshold(
        model, ((sample["image"].permute(1, 2, 0).numpy(), sample["count"]) for sample in samples)
    )
    return {"score_threshold": threshold}


def _calibrate(model: CountingModel, pictures: PicturesModule) -> dict[str, float]:
    """Scales ``model`` to its validation pictures and returns the factors.

    Rendered ones are left out where there are others: what a model misses in them says how the
    renderer differs from the world.
    """
    counter = Counter(TorchEngine(copy.deepcopy(model)))
    subsets = list(pictures.validation.values())
    real = [subset for subset in subsets if not cast(CountingDataset, subset.dataset).rendered]
    sets, deviations = [], []
    for subset in real or subsets:
        pairs = []
        for sample in (subset[i] for i in range(len(subset))):
            counting = counter(sample["image"].permute(1, 2, 0).numpy())
            pairs.append((counting.count, sample["count"]))
            if counting.std is not None:
                deviations.append(counting.std)
        counted, truth = torch.tensor(pairs, dtype=torch.float64).T
        sets.append((counted, truth))
    factor = best_factor(sets)
    model.scale_counts(factor)
    factors = {"calibration": factor}
    if deviations:
        counted, truth = (torch.cat(each) for each in zip(*sets, strict=True))
        std = torch.tensor(deviations, dtype=torch.float64)
        factors["std_calibration"] = best_std_factor(factor * counted, factor * std, truth)
        model.scale_std(factors["std_calibration"])
    return factors


def _card(
    config: Config,
    path: Path,
    overrides: list[str] | None,
    pictures: PicturesModule,
    error: float | None,
) -> dict[str, Any]:
    """What a reader must know to judge the model and to make it again."""
    counts: dict[str, int] = {}
    for part in pictures.parts:
        name = part.part.dataset.rpartition("/")[2]
        counts[name] = counts.get(name, 0) + len(part.indices)
    return {
        "name": config.name,
        "command": " ".join(
            # where the run was written is nobody's concern
            ["fastcount", "train", path.name]
            + [entry for entry in overrides or [] if not entry.startswith("output=")]
        ),
        "start": config.start,
        "commit": _commit(),
        "pictures": counts,
        "validation": config.validation,
        "validation_seed": config.validation_seed,
        "validation_error": error,
        "steps": config.steps,
        "seed": config.seed,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _commit() -> str | None:
    """Of the source that trains; None for an installed package, or without git."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return told.stdout.strip() or None
