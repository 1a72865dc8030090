from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad


def spatial_softmax(heatmap: Tensor, *, kernel_size: int = 3, beta: float = 100.0) -> Tensor:
    """The formula, with PyTorch's pooling; NaN left out of the windows."""
    values = heatmap.float() if heatmap.dtype in (torch.float16, torch.bfloat16) else heatmap
    if values.numel() == 0:
        return heatmap.clone()
    radius = kernel_size // 2
    pooled = values.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    pooled = pad(pooled, (radius, radius, radius, radius), value=-torch.inf)
    greatest = max_pool2d(pooled, kernel_size, stride=1)
    return (values * torch.exp(-beta * (values - greatest).abs())).to(heatmap.dtype)


def soft_count(
    heatmap: Tensor,
    *,
    kernel_size: int = 3,
    beta: float = 100.0,
    steepness: float = 15.0,
    threshold: float = 0.8,
) -> tuple[Tensor, Tensor]:
    """A sigmoid of the former, and its sum."""
    values = heatmap.float() if heatmap.dtype in (torch.float16, torch.bfloat16) else heatmap
    softened = spatial_softmax(values, kernel_size=kernel_size, beta=beta)
    detection = torch.sigmoid(steepness * (softened - threshold))
    count = detection.double().sum(dim=(2, 3))
    return detection.to(heatmap.dtype), count.to(heatmap.dtype)
