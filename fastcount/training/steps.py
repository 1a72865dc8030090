"""What Lightning must be told about the steps of a run."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Steps(Callback):
    """Keeps the count of the steps that Lightning logs right, and validates after the last one.

    Belongs before other callbacks.
    """

    def on_train_batch_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, batch: Any, index: int
    ) -> None:
        # Lightning 2.6 counts one too many for each time that a run was stopped: what is logged
        # had other steps than in a run that was not, and was logged after others.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
    ) -> None:
        # A run that is told to stop validates first; one that runs out of steps between two
        # validations would not, and its last weights could never be chosen.
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True
