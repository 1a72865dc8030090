"""One process at a time trains in a run's folder."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_HELD = (errno.EACCES, errno.EAGAIN)

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        os.lseek(file.fileno(), 1 << 30, os.SEEK_SET)  # what is locked cannot be read by others
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        # Of the process alone: workers that it forks do not hold on to it when it is killed.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def only_one(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keeps other processes from training in ``folder`` while the block runs.

    The system lets go of the lock when the process ends, however that comes about; the file
    ``run.lock`` stays and means nothing by itself. Where the file system has no locks, that is
    said and the block runs all the same.

    Raises ``BlockingIOError`` where another process is training there.
    """
    path = folder / "run.lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _HELD:
                owner = path.read_text(encoding="utf-8").strip() or "another process"
                raise BlockingIOError(
                    f"{folder}: {owner} is training this run; wait for it to end or stop it, "
                    "or give this one another name"
                ) from None
            say(f"{path} cannot be locked ({error}); start this run only once at a time")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
