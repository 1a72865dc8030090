"""The text files of a data set: whatever is wrong with one, the error names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastcount.data.base import DatasetError


def read_text(file: Path, *, name: str, expected: str) -> str:
    """What a file in UTF-8 holds, with a byte order mark or without.

    Raises :class:`DatasetError` that tells what is ``expected`` where the file cannot be read,
    and that it is in another encoding where it is.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{name}: {file} is no text in UTF-8 ({error}); save it as such"
        ) from error
    except OSError as error:
        raise DatasetError(f"{name}: cannot read {file} ({error}); expected {expected}") from error


def read_json(file: Path, *, name: str, expected: str) -> Any:
    """What a JSON file holds; :class:`DatasetError` as for :func:`read_text`."""
    text = read_text(file, name=name, expected=expected)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # the latter of lists within lists within ...
        raise DatasetError(f"{name}: cannot read {file} ({error}); expected {expected}") from error
