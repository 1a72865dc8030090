"""Sizes of pictures as they are typed."""

from __future__ import annotations

import re

from fastcount.cli.messages import WRONG_USAGE, leave


def parse_size(text: str) -> tuple[int, int]:
    """``--size HxW`` as (height, width) in pixels; leaves with 2 where it is no size."""
    parts = re.fullmatch(r"(\d+)[x×*](\d+)", text)
    if parts is None:
        leave(f"--size {text}: write height and width as 384x512", WRONG_USAGE)
    return int(parts[1]), int(parts[2])
