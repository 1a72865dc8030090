"""The counter that a command's arguments name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastcount.cli.messages import WRONG_USAGE, leave

if TYPE_CHECKING:
    from fastcount.runtime.counter import Counter


def load_counter(model: str, device: str | None, tile: int | None = None) -> Counter:
    """The counter; leaves with 2 where there is no such model or device, or the tile is wrong."""
    from fastcount.loading import load
    from fastcount.runtime.tiling import plan

    try:
        counter = load(model, device=device)
        plan((1 << 20, 1 << 20), counter.engine.tiling, tile)  # so that a bad tile shows here
        largest = counter.engine.largest_tile
        if tile is not None and largest is not None and tile > min(largest):
            raise ValueError(f"tile: this model was exported for {largest[0]}x{largest[1]}")
    except (ValueError, OSError) as error:
        leave(str(error), WRONG_USAGE)
    except (ImportError, RuntimeError) as error:
        leave(f"{error}\nSee `fastcount doctor`.", WRONG_USAGE)
    return counter
