"""Numbers and switches among an operator's arguments, checked."""

from __future__ import annotations

import math


def check_number(
    value: float,
    name: str,
    *,
    least: float = -math.inf,
    below: float = math.inf,
    positive: bool = False,
) -> float:
    """A finite number, ``least <= value < below``, or > 0 with ``positive``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not -math.inf < value < math.inf:  # math.isfinite would break a compiled graph
        raise ValueError(f"{name} must be finite, got {value}")
    if positive and value <= 0:
        raise ValueError(f"{name} must be positive, got {value}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if value >= below:
        raise ValueError(f"{name} must be below {below}, got {value}")
    return float(value)


def check_whole(value: int, name: str, least: int) -> None:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_window(kernel_size: int) -> None:
    """The side of a window that has a pixel in its middle."""
    if isinstance(kernel_size, bool) or not isinstance(kernel_size, int):
        raise TypeError(f"kernel_size must be a whole number, got {kernel_size!r}")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")


def check_flag(value: bool, name: str) -> bool:
    """True or False, no stand-in for one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value
