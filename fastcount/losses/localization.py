"""RAZ-Net's losses: of its density, of its points, of its attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def density_rmse_loss(density: Tensor, truth: Tensor) -> Tensor:
    r"""Root mean square error of each picture's map, mean over the batch (RAZ-Net, eq. 1).

    .. math:: 8 \sqrt{\frac{1}{m n} \sum_{i=1}^{(m/8)(n/8)} |\phi(x_i) - \hat\phi(x_i)|^2}

    for a picture of m x n pixels and a map of stride 8: the 8 and the pixels make it the root of
    the mean over cells. Liu et al., CVPR 2019.

    ``density``, ``truth``: (B, 1, h, w) objects a cell. Returns a scalar >= 0; where a map is
    right everywhere its gradient is 0. Raises ``ValueError`` for maps of different shapes.
    """
    _check(density, truth, "density")
    error = (density - truth).flatten(1)
    root: Tensor = torch.linalg.vector_norm(error, dim=1) / error.shape[1] ** 0.5
    return root.mean()


def localization_loss(logits: Tensor, label: Tensor, *, gamma: float = 100.0) -> Tensor:
    r"""Binary cross entropy with positives weighted by gamma, mean over pixels (RAZ-Net, eq. 3).

    .. math:: \frac{1}{m n} \sum_i -\gamma Y(x_i) \log \psi(x_i)
              - (1 - Y(x_i)) \log(1 - \psi(x_i))

    with psi = sigmoid(``logits``), in a stable form. Liu et al., CVPR 2019.

    ``logits``, ``label``: (B, 1, H, W), labels 0 and 1 as :func:`fastcount.ops.cross_label` makes
    them. Returns a scalar >= 0. Raises ``ValueError`` for maps of different shapes.
    """
    _check(logits, label, "logits")
    weight = torch.as_tensor(gamma, dtype=logits.dtype, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits, label.to(logits.dtype), pos_weight=weight)


def attention_loss(logits: Tensor, attention: Tensor) -> Tensor:
    r"""Cross entropy of attention v in [0, 1] and a = sigmoid(logits), mean over pixels.

    .. math:: -\frac{1}{m n} \sum_i v_i \log a_i + (1 - v_i) \log(1 - a_i)

    RAZ-Net (Liu et al., CVPR 2019) does not print this loss; of those whose minimum is a = v it
    is the one with a gradient also where a is near 0 or 1.

    ``logits``, ``attention``: (B, 1, H, W), the latter as :func:`fastcount.ops.attention_map`
    makes it. Returns a scalar >= 0. Raises ``ValueError`` for maps of different shapes.
    """
    _check(logits, attention, "logits")
    return F.binary_cross_entropy_with_logits(logits, attention.to(logits.dtype))


def _check(prediction: Tensor, truth: Tensor, name: str) -> None:
    if prediction.ndim != 4 or prediction.shape != truth.shape:
        raise ValueError(
            f"{name}: need the shape (B, 1, H, W) of its truth, got {tuple(prediction.shape)} "
            f"and {tuple(truth.shape)}"
        )
