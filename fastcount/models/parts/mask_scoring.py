"""Which proposal is the mask of which peak (CountSeg, Cholakkal et al., CVPR 2019, eq. 9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_AT_ONCE = 64  # proposals scored together: memory, not results


def score_proposals(
    responses: Tensor,  # [K, H, W] >= 0
    background: Tensor,  # [K, H, W] of 0 and 1
    density: Tensor,  # [K, h, w]
    proposals: Tensor,  # [N, H, W] bool
    *,
    stride: int,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Tensor:
    r"""(K, N) how well each proposal P fits each of K peaks of one picture.

    .. math:: alpha \, R * P + R * \hat P - beta \, Q * P - gamma \, |1 - \sum D_c P|

    ``responses`` R of each peak, scaled to a sum of 1; P-hat the contour of P (dilation less
    erosion, 3 x 3); ``background`` Q of its class; ``density`` D_c of its class, cells of
    ``stride`` pixels, each shared out by area. R * P is the response inside P, Q * P the share
    of P that is background, so that all terms lie between 0 and 1 but the last. The paper prints
    no alpha, beta, gamma.
    """
    share = responses.flatten(1)
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1e-12)
    q, cells = background.flatten(1), density.flatten(1)
    height, width = proposals.shape[-2:]
    beyond = (0, density.shape[2] * stride - width, 0, density.shape[1] * stride - height)
    scores = []
    for some in torch.split(proposals, _AT_ONCE):
        masks = some.to(responses)
        wide = F.max_pool2d(masks[:, None], 3, 1, 1)
        narrow = -F.max_pool2d(-masks[:, None], 3, 1, 1)
        contour = (wide - narrow).flatten(1)
        covered = F.avg_pool2d(F.pad(masks[:, None], beyond), stride).flatten(1)  # share of a cell
        flat = masks.flatten(1)
        area = flat.sum(dim=1).clamp(min=1)
        off_by = (1 - cells @ covered.T).abs()
        scores.append(
            share @ (alpha * flat + contour).T - beta * (q @ flat.T) / area - gamma * off_by
        )
    return torch.cat(scores, dim=1) if scores else responses.new_zeros(len(responses), 0)


def without_doubles(masks: Tensor, scores: Tensor, labels: Tensor, overlap: float) -> Tensor:
    """Numbers of the masks (K, H, W) to keep, the best first.

    Of two of one class whose intersection over union is above ``overlap`` the one of lower score
    goes.
    """
    order = scores.argsort(descending=True, stable=True)
    flat = masks[order].flatten(1).float()
    both = flat @ flat.T
    area = flat.sum(dim=1)
    iou = both / (area[:, None] + area - both).clamp(min=1)
    same = labels[order][:, None] == labels[order]
    rivals = ((iou > overlap) & same).cpu()
    kept: list[int] = []
    for i in range(len(order)):
        if not bool(rivals[i, kept].any()):
            kept.append(i)
    return order[kept]
