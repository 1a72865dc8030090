"""The width of a heat map's kernel from the size of a box."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcount.ops.scalars import check_number


def small_object_sigma(boxes_wh: Tensor, *, eta: float = 1.0, epsilon: float = 6.0) -> Tensor:
    r"""A kernel's sigma for each box, widened for small objects.

    .. math:: \sigma = \frac{D (1 + \eta e^{-D})}{\varepsilon}, \qquad D = 2 \min(w, h) + 1

    Eq. 10 of Zhong et al., "Mask Focal Loss" (crowd counting).

    Args:
        boxes_wh: (..., 2) floating point, width and height of each box, finite and >= 0, in the
            unit in which sigma is wanted (output cells for ``gaussian_heatmap``).
        eta: how much a small object is widened, >= 0; 0: not at all.
        epsilon: sigmas in D, > 0.

    Returns:
        (...) of the same dtype and device, > 0. Differentiable in ``boxes_wh``.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: a wrong shape or a value out of its range (values of ``boxes_wh`` are not
            looked at inside ``torch.compile``).
    """
    if not isinstance(boxes_wh, Tensor):
        raise TypeError(f"boxes_wh must be a tensor (..., 2), got {type(boxes_wh).__name__}")
    if not boxes_wh.is_floating_point():
        raise TypeError(f"boxes_wh must be floating point, got {boxes_wh.dtype}; use .float()")
    if boxes_wh.dim() == 0 or boxes_wh.shape[-1] != 2:
        raise ValueError(f"boxes_wh must have shape (..., 2), got {tuple(boxes_wh.shape)}")
    eta = check_number(eta, "eta", least=0.0)
    epsilon = check_number(epsilon, "epsilon", positive=True)
    if not (torch.compiler.is_compiling() or boxes_wh.is_meta):
        wrong = ~(torch.isfinite(boxes_wh) & (boxes_wh >= 0))
        if bool(wrong.any()):
            first = float(boxes_wh[wrong][0])
            raise ValueError(f"boxes_wh must be finite and not negative, got {first}")
    reach = 2.0 * boxes_wh.amin(-1) + 1.0
    return reach * (1.0 + eta * torch.exp(-reach)) / epsilon
