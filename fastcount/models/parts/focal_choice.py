"""Which focal loss a detector's classification learns by, and its exponents."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from fastcount.ops import heatmap_focal_loss, mask_focal_loss

FocalName = Literal["focal", "mask_focal", "mask_focal_poly", "mask_focal_weighted"]

# (gamma, beta): the best of tables 2 to 4 of Zhong et al.; those of CenterNet for "focal".
_EXPONENTS: dict[str, tuple[float, float]] = {
    "focal": (2.0, 4.0),
    "mask_focal": (4.0, 0.25),
    "mask_focal_poly": (4.0, 0.5),
    "mask_focal_weighted": (4.0, 0.5),
}

_POLY: dict[str, bool | Literal["weighted"]] = {
    "mask_focal_poly": True,
    "mask_focal_weighted": "weighted",
}


class FocalChoice:
    """``loss``: ``"focal"`` (eq. 2, eq. 3 on a heat map), ``"mask_focal"`` (eq. 6),
    ``"mask_focal_poly"`` (eq. 7) or ``"mask_focal_weighted"`` (eq. 7 with p^beta before both of
    its terms), of Zhong et al., Mask Focal Loss.

    ``gamma``, ``beta``: the exponents; None takes the paper's best for that loss. ``epsilon``: of
    eq. 10, how narrow the kernels of a heat map are. The paper's 6 makes sigma a third of a
    box's side, so that the hills of neighbours run together; in a crowd CenterNet counted better
    with 12 and with 24 (docs/results.md).

    Raises ``ValueError`` for another name, and an ``epsilon`` that is not > 0.
    """

    def __init__(
        self,
        loss: FocalName,
        *,
        gamma: float | None = None,
        beta: float | None = None,
        epsilon: float = 6.0,
    ) -> None:
        if loss not in _EXPONENTS:
            raise ValueError(f"loss: need one of {', '.join(get_args(FocalName))}, got {loss!r}")
        if not epsilon > 0:
            raise ValueError(f"epsilon: need a number > 0, got {epsilon}")
        self.name = loss
        self.epsilon = epsilon
        self.gamma = _EXPONENTS[loss][0] if gamma is None else gamma
        self.beta = _EXPONENTS[loss][1] if beta is None else beta

    @property
    def masked(self) -> bool:
        """Whether it is a mask focal loss."""
        return self.name != "focal"

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        mask: Tensor | None,
        normalizer: float,
        *,
        keep: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar: the sum over all entries, divided by ``normalizer``.

        ``logits``, ``target`` in [0, 1], ``mask`` (bool, where objects are; ``"focal"`` looks at
        the target alone) and ``keep`` (bool, entries that count; None: all) are of one shape.
        On a target of zeros and ones ``"focal"`` is eq. 2, whatever ``beta``.
        """
        reduction = "sum" if keep is None else "none"
        if self.masked:
            value = mask_focal_loss(
                logits,
                target,
                mask=mask,
                gamma=self.gamma,
                beta=self.beta,
                poly=_POLY.get(self.name, False),
                from_logits=True,
                normalizer=normalizer,
                reduction=reduction,
            )
        else:
            value = heatmap_focal_loss(
                logits,
                target,
                gamma=self.gamma,
                beta=self.beta,
                from_logits=True,
                normalizer=normalizer,
                reduction=reduction,
            )
        return value if keep is None else (value * keep).sum()
