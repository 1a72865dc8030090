"""The best of many candidates, in tensors whose shapes depend on no value."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastcount.export.peaks import highest

NOT_NUMBERS = -1


@dataclass(frozen=True)
class Chosen:
    """``scores``: (B, K) falling, 0 beyond the candidates that there are. ``place``: (B, K) int64
    where among the N each was, 0 beyond. ``valid``: (B, K) bool. ``found``: (B,) int32, how many
    candidates there are, perhaps more than K; ``NOT_NUMBERS``, and none valid, where a value is
    NaN: half precision may overflow in one picture and not in another."""

    scores: Tensor
    place: Tensor
    valid: Tensor
    found: Tensor

    def blank(self, values: Tensor) -> Tensor:
        """(B, K, D) ``values`` with -1 where there is no candidate."""
        return torch.where(self.valid[..., None], values, torch.full_like(values, -1.0))

    def located(self, boxes: Tensor, labels: Tensor) -> Located:
        """The candidates with their ``boxes`` (B, K, 4) and ``labels`` (B, K)."""
        labels = torch.where(self.valid, labels, torch.zeros_like(labels)).to(torch.int32)
        return Located(self.scores, self.found, boxes=self.blank(boxes), labels=labels)


def chosen(values: Tensor, most: int) -> Chosen:
    """The ``most`` highest of the candidates: those of (B, N) ``values`` above minus infinity."""
    found = (values > -torch.inf).to(torch.int32).sum(dim=1, dtype=torch.int32)
    missing = torch.isnan(values).to(torch.int32).sum(dim=1, dtype=torch.int32)
    found = torch.where(missing > 0, torch.full_like(found, NOT_NUMBERS), found)
    best, place = highest(values, most)
    valid = torch.arange(most, device=values.device) < found[:, None]
    return Chosen(
        torch.where(valid, best, torch.zeros_like(best)),
        torch.where(valid, place, torch.zeros_like(place)),
        valid,
        found,
    )


@dataclass(frozen=True)
class Located:
    """K candidates a picture: ``scores`` (B, K) and ``found`` (B,) as in :class:`Chosen`;
    ``points`` (B, K, 2) in pixel indices or ``boxes`` (B, K, 4) in edge coordinates;
    ``labels`` (B, K) int32."""

    scores: Tensor
    found: Tensor
    points: Tensor | None = None
    boxes: Tensor | None = None
    labels: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        fields = {
            "boxes": self.boxes,
            "points": self.points,
            "scores": self.scores,
            "labels": self.labels,
            "found": self.found,
        }
        return {name: value for name, value in fields.items() if value is not None}
