"""Losses, each a plain function."""

from fastcount.losses.pooled_count import pooled_count_loss

__all__ = ["pooled_count_loss"]
