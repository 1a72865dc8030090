"""Small rendered pictures with boxes, and the steps that detectors' tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcount.models import CountingModel, Target


def squares(
    counts: list[int], side: int = 64, *, seed: int = 0, cell: int = 16, extent: float = 10.0
) -> tuple[Tensor, list[Target]]:
    """Pictures (B, 3, side, side) with so many bright discs in boxes, on a jittered grid."""
    generator = torch.Generator().manual_seed(seed)
    images, targets = [], []
    y, x = torch.arange(side)[:, None] + 0.5, torch.arange(side)[None] + 0.5
    for count in counts:
        places = torch.randperm((side // cell) ** 2, generator=generator)[:count]
        corner = torch.stack([places % (side // cell), places // (side // cell)], 1) * float(cell)
        room = cell - extent
        middle = corner + extent / 2 + room * torch.rand(count, 2, generator=generator)
        half = extent / 2 * (0.8 + 0.2 * torch.rand(count, 1, generator=generator))
        image = 0.2 + 0.05 * torch.rand(3, side, side, generator=generator)
        for (mx, my), radius in zip(middle.tolist(), half[:, 0].tolist(), strict=True):
            image[:, (x - mx) ** 2 + (y - my) ** 2 <= radius**2] += 0.6
        boxes = torch.cat([middle - half, middle + half], 1)
        images.append(image)
        targets.append(
            Target(
                count=float(count),
                points=middle - 0.5,
                boxes=boxes,
                labels=torch.zeros(count, dtype=torch.int64),
            )
        )
    return torch.stack(images), targets


def train(
    model: CountingModel, images: Tensor, targets: list[Target], *, steps: int, lr: float
) -> list[float]:
    """Losses of so many steps of AdamW on one batch, the rate falling to nothing."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        loss = model.loss(model(images), targets)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def odd_targets() -> list[Target]:
    """No object, only an ignored box, a box of no area, boxes outside and across the rim."""
    return [
        Target(count=0.0, boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64)),
        Target(count=0.0, boxes=torch.tensor([[4.0, 4, 40, 40]]), labels=torch.tensor([-1])),
        Target(count=1.0, boxes=torch.tensor([[9.0, 9, 9, 20]]), labels=torch.tensor([0])),
        Target(
            count=2.0,
            boxes=torch.tensor([[80.0, 10, 90, 20], [-4, 20, 12, 32]]),
            labels=torch.tensor([0, 0]),
        ),
    ]
