"""A counting model as a LightningModule: steps, optimiser and validation, the same for all."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR

from fastcount.models.base import CountingModel
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.training.config import Config
from fastcount.training.crops import Batch


class CountingModule(lightning.LightningModule):
    """Trains ``model`` as ``config`` says; validates by counting whole pictures.

    ``val_mae`` is the mean over the validation sets of each one's mean absolute error divided by
    its mean count or ten, whichever is more: relative errors, so that sets weigh alike however
    crowded they are. Each set's own ``val_mae/NAME`` is logged in objects.
    """

    def __init__(self, model: CountingModel, config: Config, validation_names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.validation_names = validation_names
        self._errors: list[list[tuple[float, float]]] = [[] for _ in validation_names]

    def training_step(self, batch: Batch, index: int) -> Tensor:
        # What a loss or a layer draws follows from the step alone: a run that was stopped goes on
        # as if it had not been.
        step = self.global_step * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        number = sum(len(targets) for _, targets in batch)
        losses: dict[str, Tensor] = {}
        for images, targets in batch:
            share = len(targets) / number
            for name, loss in self.model.loss(self.model(images), targets).items():
                losses[name] = losses.get(name, 0) + share * loss
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, prog_bar=True)
        return losses["loss"]

    def on_validation_epoch_start(self) -> None:
        self._errors = [[] for _ in self.validation_names]
        # A copy: the engine takes its model over and folds the batch norms into it.
        self._counter = Counter(TorchEngine(copy.deepcopy(self.model), self.device))

    def validation_step(self, sample: Any, index: int, dataloader_idx: int = 0) -> None:
        picture = sample["image"].permute(1, 2, 0).cpu().numpy()
        counted = self._counter(picture).count
        self._errors[dataloader_idx].append((counted, float(sample["count"])))

    def on_validation_epoch_end(self) -> None:
        relative = []
        for name, pairs in zip(self.validation_names, self._errors, strict=True):
            counted, truth = torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2).T
            error = counted - truth
            mae = self._mean(error.abs())
            self.log(f"val_mae/{name}", mae)
            self.log(f"val_bias/{name}", self._mean(error))
            relative.append(mae / self._mean(truth).clamp_min(10.0))
        self.log("val_mae", torch.stack(relative).mean(), prog_bar=True)

    def _mean(self, values: Tensor) -> Tensor:
        """Mean over the pictures of all processes."""
        sums = torch.tensor([float(values.sum()), float(len(values))], device=self.device)
        gathered = self.all_gather(sums)
        assert isinstance(gathered, Tensor)
        sums = gathered.reshape(-1, 2).sum(0)
        return sums[0] / sums[1]

    def configure_optimizers(self) -> Any:
        backbone: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                (backbone if "backbone" in name.split(".") else rest).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": backbone, "lr": self.config.backbone_lr},
            {"params": rest, "lr": self.config.lr},
        ]
        options: dict[str, Any] = {
            "weight_decay": self.config.weight_decay,
            # fused steps unscale gradients themselves, which forbids clipping in mixed precision
            "fused": self.config.precision == "32-true",
        }
        if self.config.optimizer == "sgd":
            options["momentum"] = self.config.momentum
        make: Any = {"adamw": AdamW, "adam": Adam, "sgd": SGD}[self.config.optimizer]
        optimizer = make([group for group in groups if group["params"]], **options)
        falls = self.config.schedule == "cosine"
        schedule = LambdaLR(
            optimizer, warmup_then(self.config.warmup, self.config.steps if falls else None)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def warmup_then(warmup: int, steps: int | None) -> Callable[[int], float]:
    """Factor of the learning rate at a step, the first being 0: linear rise, then half a cosine
    that would reach 1 % one step after the last of ``steps``, or 1 where that is None."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if steps is None:
            return 1.0
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))

    return factor
