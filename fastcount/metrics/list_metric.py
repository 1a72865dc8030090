"""What metrics have in common that keep what they saw in lists of tensors."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class ListMetric(Metric):
    """A metric whose lists may be empty: in one of several processes, or in all."""

    @abstractmethod
    def nothing(self) -> dict[str, Tensor]:
        """What each list holds of no picture: its type, and its shape beyond the first side."""

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As torchmetrics', and a process that saw no picture takes part with empty lists."""
        for name, none in self.nothing().items():
            if not len(getattr(self, name)):
                getattr(self, name).append(none.to(self.device))
        super().sync(*args, **kwargs)

    def joined(self, name: str) -> Tensor:
        """The list ``name`` as one tensor, which it already is after a reduction."""
        parts: list[Tensor] | Tensor = getattr(self, name)
        if isinstance(parts, Tensor):
            return parts
        return torch.cat(parts) if parts else self.nothing()[name]
