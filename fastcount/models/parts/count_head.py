"""The regression sub-model of a pyramid's level (Itzhaky et al. 2018, section 3.1.2)."""

from __future__ import annotations

from torch import Tensor, nn


class CountHead(nn.Module):
    """Two 3x3 convolutions, the average of each map, dense layers of 128 and 64, ``outputs``.

    ReLU after every layer but the last. (B, ``channels``, h, w) of any h and w to
    (B, ``outputs``): a count, and the logarithm of its variance where there are two.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.dense = nn.Sequential(
            nn.Linear(channels, 128), nn.ReLU(inplace=True), nn.Linear(128, 64), nn.ReLU()
        )
        self.last = nn.Linear(64, outputs)

    def forward(self, features: Tensor) -> Tensor:
        averages = self.maps(features).mean(dim=(2, 3))
        estimate: Tensor = self.last(self.dense(averages))
        return estimate
