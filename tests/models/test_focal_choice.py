"""The exponents that a detector's focal loss is computed with."""

from __future__ import annotations

import pytest
import torch

from fastcount.models.parts.focal_choice import FocalChoice, FocalName
from fastcount.ops import heatmap_focal_loss, mask_focal_loss


@pytest.mark.parametrize(
    ("loss", "paper"),
    [
        ("focal", (2.0, 4.0)),
        ("mask_focal", (4.0, 0.25)),
        ("mask_focal_poly", (4.0, 0.5)),
        ("mask_focal_weighted", (4.0, 0.5)),
    ],
)
@pytest.mark.parametrize("given", [None, (1.0, 3.0)])
def test_the_papers_exponents_or_those_given(
    loss: FocalName, paper: tuple[float, float], given: tuple[float, float] | None
) -> None:
    logits, target = torch.randn(1, 1, 8, 8), torch.rand(1, 1, 8, 8).round(decimals=1)
    mask = target > 0.3
    gamma, beta = given or paper
    options = {"gamma": gamma, "beta": beta, "from_logits": True, "normalizer": 3.0}
    if loss == "focal":
        expected = heatmap_focal_loss(logits, target, **options)
    else:
        poly = {"mask_focal_poly": True, "mask_focal_weighted": "weighted"}.get(loss, False)
        expected = mask_focal_loss(logits, target, mask=mask, poly=poly, **options)
    choice = FocalChoice(loss, gamma=given and gamma, beta=given and beta)
    assert torch.equal(choice(logits, target, mask, 3.0), expected)
