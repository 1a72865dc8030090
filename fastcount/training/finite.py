"""What becomes of a run whose weights are no numbers any more."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback


class FiniteWeights(Callback):
    """Ends a run before weights that are not finite are validated, chosen or written.

    Raises ``FloatingPointError`` after the last step of an epoch or of the run. Once a weight is
    lost nothing brings it back, so one look at the end of an epoch, which does not hold up a GPU
    at every step, misses none. A detector with such weights would just find nothing.
    """

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
    ) -> None:
        if not trainer.is_last_batch and trainer.global_step < trainer.max_steps:
            return
        for name, values in module.named_parameters():
            if not bool(torch.isfinite(values).all()):
                raise FloatingPointError(
                    f"the training diverged: after step {trainer.global_step} "
                    f"{name.removeprefix('model.')} holds values that are not finite; checkpoints "
                    "of the run are from before; begin another with a lower lr and backbone_lr, a "
                    "longer warmup or a gradient_clip"
                )
