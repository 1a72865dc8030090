"""What Lightning must be told about the steps of a run."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Steps(Callback):
    """Keeps Lightning's count of the steps that it logs right. Belongs before other callbacks."""

    def on_train_batch_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, batch: Any, index: int
    ) -> None:
        # Lightning 2.6 counts one too many for each time that a run was stopped: what is logged
        # had other steps than in a run that was not, and was logged after others.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
