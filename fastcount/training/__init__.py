"""Training: one YAML file in, one model file out."""

from __future__ import annotations

from pathlib import Path

__all__ = ["run"]


def run(config: Path, overrides: list[str] | None = None) -> Path:
    """See :func:`fastcount.training.fit.fit`; Lightning is imported only here.

    Raises ``ImportError`` with the cure where the training extra is not installed.
    """
    try:
        import lightning  # noqa: F401
    except ImportError:
        raise ImportError("training needs lightning: pip install 'fastcount[train]'") from None
    from fastcount.training.fit import fit

    return fit(config, overrides)
