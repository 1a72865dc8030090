"""Class names of a data set as given in an option: ``classes=RBC,WBC``."""

from __future__ import annotations


def split_names(text: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """The names in a comma-separated ``text``, or ``default`` where it is empty."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(set(names)) != len(names):
        raise ValueError(f"classes {text!r} names one class twice")
    return names or default
