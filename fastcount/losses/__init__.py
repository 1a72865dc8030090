"""Losses, each a plain function."""

from fastcount.losses.heteroscedastic import gaussian_count_loss, laplacian_count_loss
from fastcount.losses.pooled_count import pooled_count_loss

__all__ = ["gaussian_count_loss", "laplacian_count_loss", "pooled_count_loss"]
