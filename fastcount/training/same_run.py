"""A folder holds one run: it goes on with the settings and the data that it began with.

They are noted in ``run.json``. A run that left no checkpoint has not begun.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastcount.files import atomic_write
from fastcount.training.checkpoints import checkpoints_in
from fastcount.training.config import Config
from fastcount.training.fingerprint import Fingerprint, difference


def same_settings(config: Config, folder: Path) -> None:
    """Notes the settings of a run that begins; raises ``ValueError`` where one that goes on has
    others."""
    text = repr(config)
    digest = hashlib.sha256(text.encode()).hexdigest()
    note = folder / "run.json"
    if not note.exists() or not checkpoints_in(folder):
        _write(note, {"sha256": digest, "config": text})
    elif _read(note)["sha256"] != digest:
        raise ValueError(
            f"{folder}: holds a run with other settings; choose another name or remove the folder"
        )


def same_data(data: Sequence[Fingerprint], folder: Path) -> None:
    """The same for the data, after :func:`same_settings`.

    A run that was begun before data were noted goes on with what there is, and has it noted.
    """
    note = folder / "run.json"
    known = _read(note)
    if "data" not in known:
        _write(note, {**known, "data": [asdict(each) for each in data]})
        return
    try:
        before = [Fingerprint(**each) for each in known["data"]]
    except TypeError as error:
        raise _damaged(note, error) from error
    changes = [difference(*pair) for pair in zip(before, data, strict=False)]
    told = [change for change in changes if change is not None]
    if told:
        raise ValueError(
            f"{folder}: holds a run with other data: {'; '.join(told)}; choose another name, "
            "bring the old data back, or remove the folder"
        )


def _read(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        known["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(note, error) from error
    found: dict[str, Any] = known
    return found


def _damaged(note: Path, error: Exception) -> ValueError:
    return ValueError(f"{note}: is damaged ({error}); remove the folder, or mend it")


def _write(note: Path, content: dict[str, Any]) -> None:
    with atomic_write(note, "w") as file:
        file.write(json.dumps(content, indent=1))
