"""Mask focal loss inside a detector of ultralytics, which the user has installed.

    from ultralytics import YOLO
    from fastcount.losses.ultralytics_adapter import mask_focal_callback

    model = YOLO("yolov8n.yaml")
    model.add_callback("on_train_start", mask_focal_callback())
    model.train(data="heads.yaml")

ultralytics is under the AGPL: nothing here imports it or comes from it. What is used is what it
documents: a callback is handed the trainer, whose ``model`` has a criterion, whose ``bce`` turns
logits and soft targets of the classes into one loss for each entry. That is what is exchanged;
boxes are learnt as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from fastcount.ops import mask_focal_loss

_HEADS = ("one2many", "one2one")  # criteria within the criterion of a model without suppression


class MaskFocalScores(nn.Module):
    """Takes the place of ``BCEWithLogitsLoss(reduction="none")``: eq. 6, or with ``poly`` eq. 7, of
    Zhong et al., Mask Focal Loss.

    The mask is where ``target`` is above 0: where an anchor is to find an object, and how well it
    fits is its place in the heat map. Exponents default to the paper's best.
    """

    def __init__(self, *, gamma: float = 4.0, beta: float = 0.5, poly: bool = True) -> None:
        super().__init__()
        self.gamma, self.beta, self.poly = gamma, beta, poly

    def forward(
        self,
        logits: Tensor,  # (B, A, C)
        target: Tensor,  # (B, A, C) in [0, 1]
    ) -> Tensor:
        """(B, A, C) float32, the loss of each entry, not divided by anything."""
        return mask_focal_loss(
            logits.float(),
            target.float(),
            gamma=self.gamma,
            beta=self.beta,
            poly=self.poly,
            from_logits=True,
            normalizer=1.0,
            reduction="none",
        )


def exchange_scores_loss(criterion: Any, loss: nn.Module) -> None:
    """Puts ``loss`` where ``criterion`` of ultralytics keeps the loss of its class scores.

    Raises ``ValueError`` where it keeps none, as those of other tasks than detection.
    """
    parts = [getattr(criterion, name) for name in _HEADS if hasattr(criterion, name)]
    parts = [
        part for part in [criterion, *parts] if isinstance(getattr(part, "bce", None), nn.Module)
    ]
    if not parts:
        raise ValueError(
            f"criterion: {type(criterion).__name__} has no loss of class scores named bce; "
            "detection models of ultralytics 8 have one"
        )
    for part in parts:
        part.bce = loss


def mask_focal_callback(
    *, gamma: float = 4.0, beta: float = 0.5, poly: bool = True
) -> Callable[[Any], None]:
    """For ``model.add_callback("on_train_start", ...)``: the training then starts with mask focal
    loss on the class scores. Arguments as for :class:`MaskFocalScores`.

    On several GPUs ultralytics starts processes of its own, which know no callbacks: use one. Its
    validation goes on printing the usual loss. Raises ``ValueError`` as
    :func:`exchange_scores_loss` does, at the start of the training.
    """

    def exchange(trainer: Any) -> None:
        model = trainer.model
        for wrapper in ("_orig_mod", "module"):  # torch.compile, DistributedDataParallel
            model = getattr(model, wrapper, model)
        criterion = getattr(model, "criterion", None)
        if criterion is None:
            criterion = model.init_criterion()
        exchange_scores_loss(criterion, MaskFocalScores(gamma=gamma, beta=beta, poly=poly))
        model.criterion = criterion

    return exchange
