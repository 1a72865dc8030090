"""The adapter against a stand-in with the documented surface of ultralytics, which is not needed.

The stand-in is a detector of one layer: callbacks get the trainer, the trainer has the model, the
model makes its criterion when it first needs one, and the criterion's ``bce`` judges the scores.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastcount.losses.ultralytics_adapter import (
    MaskFocalScores,
    exchange_scores_loss,
    mask_focal_callback,
)
from fastcount.ops import mask_focal_loss

TARGET = torch.tensor([[[1.0, 0], [0.6, 0], [0, 0], [0, 0.25]]])


class Criterion:
    def __init__(self) -> None:
        self.bce = nn.BCEWithLogitsLoss(reduction="none")

    def __call__(self, logits: Tensor) -> Tensor:
        loss: Tensor = self.bce(logits, TARGET).sum() / TARGET.sum()
        return loss


class TwoHeads:
    def __init__(self) -> None:
        self.one2many, self.one2one = Criterion(), Criterion()

    def __call__(self, logits: Tensor) -> Tensor:
        return self.one2many(logits) + self.one2one(logits)


class Model(nn.Module):
    def __init__(self, criterion: type) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(1, 4, 2))
        self.kind = criterion
        self.criterion: Any = None

    def init_criterion(self) -> Any:
        return self.kind()

    def loss(self) -> Tensor:
        if self.criterion is None:
            self.criterion = self.init_criterion()
        loss: Tensor = self.criterion(self.scores)
        return loss


class Wrapped(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


class YOLO:
    def __init__(self, criterion: type = Criterion, wrap: bool = False) -> None:
        self.criterion, self.wrap = criterion, wrap
        self.callbacks: dict[str, list[Callable[[Any], None]]] = defaultdict(list)

    def add_callback(self, event: str, function: Callable[[Any], None]) -> None:
        self.callbacks[event].append(function)

    def train(self) -> Model:
        model = Model(self.criterion)  # a training builds its own
        self.model: nn.Module = Wrapped(model) if self.wrap else model
        for function in self.callbacks["on_train_start"]:
            function(self)
        model.loss().backward()
        return model


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("poly", [False, True])
def test_a_training_learns_by_mask_focal_loss(poly: bool, wrap: bool) -> None:
    yolo = YOLO(wrap=wrap)
    yolo.add_callback("on_train_start", mask_focal_callback(gamma=3.0, beta=0.25, poly=poly))
    model = yolo.train()
    scores = torch.zeros(1, 4, 2, requires_grad=True)
    wanted = mask_focal_loss(
        scores,
        TARGET,
        gamma=3.0,
        beta=0.25,
        poly=poly,
        from_logits=True,
        normalizer=float(TARGET.sum()),
    )
    wanted.backward()
    torch.testing.assert_close(model.loss().detach(), wanted.detach())
    torch.testing.assert_close(model.scores.grad, scores.grad)
    assert not torch.allclose(YOLO().train().scores.grad, scores.grad)


def test_both_heads_of_a_model_without_suppression() -> None:
    yolo = YOLO(TwoHeads)
    yolo.add_callback("on_train_start", mask_focal_callback())
    criterion = yolo.train().criterion
    assert isinstance(criterion.one2many.bce, MaskFocalScores)
    assert isinstance(criterion.one2one.bce, MaskFocalScores)


def test_half_precision_is_computed_in_float32() -> None:
    loss = MaskFocalScores()
    half = loss(torch.ones(1, 4, 2, dtype=torch.bfloat16), TARGET.bfloat16())
    assert half.dtype == torch.float32
    assert half.shape == TARGET.shape
    assert (half[0, 2] > 0).all()  # background counts


def test_a_criterion_of_another_kind() -> None:
    with pytest.raises(ValueError, match="object has no loss of class scores named bce"):
        exchange_scores_loss(object(), MaskFocalScores())


def test_needs_no_ultralytics() -> None:
    assert "ultralytics" not in sys.modules
