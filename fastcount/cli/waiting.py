"""A progress bar for whoever waits longer than two seconds."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0  # seconds


class Waiting:
    """A bar on stderr that shows itself after :data:`PATIENCE`, on a terminal only.

    ``total``: steps in all. A step may be divided: ``part(0.5)`` is half of the one under way.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._start = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self) -> None:
        """One more step is done."""
        self._done += 1
        self.part(0.0)

    def part(self, share: float) -> None:
        """``share`` of the step under way is done."""
        if self._bar is None:
            if time.monotonic() - self._start < PATIENCE:
                return
            self._bar = self._show()
        self._bar.update(self._bar.task_ids[0], completed=self._done + share)

    def _show(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        console = Console(stderr=True)
        bar = Progress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        bar.add_task(self._what, total=self._total)
        bar.start()
        return bar
