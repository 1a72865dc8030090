"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_MASK = os.umask(0)  # it cannot be asked for without being set
os.umask(_MASK)
_MODE = 0o666 & ~_MASK


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary sibling of ``path`` to write to, renamed over ``path`` when the block succeeds.

    The temporary name keeps the suffix of ``path``, for writers that go by it. Where the block
    raises, the temporary file is removed and what stood at ``path`` is untouched. The folder of
    ``path`` is made if it is missing. Raises ``FileNotFoundError`` when the block wrote nothing.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.stem}.{os.getpid()}-{secrets.token_hex(4)}{final.suffix}")
    try:
        yield temporary
        temporary.chmod(_MODE)  # some writers keep theirs to themselves
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())  # the bytes reach the disk before the name does
        temporary.replace(final)  # atomic: both names lie in one folder
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """A file object whose contents appear at ``path`` in one step when the block succeeds.

    ``mode``: ``"wb"`` or ``"w"`` (UTF-8 text with ``\\n`` line ends). Where the block raises,
    ``path`` is untouched. Raises ``ValueError`` for any other mode.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode must be 'w' or 'wb', not {mode!r}: a file is written whole")
    text: dict[str, Any] = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    with atomic_path(path) as temporary, temporary.open(mode, **text) as file:
        yield file
