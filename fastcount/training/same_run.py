"""A folder holds one run: it goes on with the settings and the data that it began with.

They are noted in ``run.json``. A run that left no checkpoint has not begun.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fastcount.files import atomic_write
from fastcount.training.checkpoints import checkpoints_in
from fastcount.training.config import Config
from fastcount.training.fingerprint import Fingerprint, difference

# Neither changes what is trained: pictures are drawn by their numbers, and the folder is this one.
_FREE = ("workers", "output")


def same_settings(config: Config, folder: Path) -> None:
    """Notes the settings of a run that begins; raises ``ValueError`` where one that goes on has
    others."""
    names = [each.name for each in fields(config) if each.name not in _FREE]
    settings = {name: repr(getattr(config, name)) for name in names}
    note = folder / "run.json"
    if not note.exists() or not checkpoints_in(folder):
        _write(note, {"settings": settings})
        return
    before = _read(note)["settings"]
    told = [
        f"{name} was {before.get(name, 'not there')}, now {settings.get(name, 'not there')}"
        for name in sorted({*before, *settings})
        if before.get(name) != settings.get(name)
    ]
    if told:
        raise ValueError(
            f"{folder}: holds a run with other settings: {'; '.join(told)}; choose another name, "
            "take the old settings, or remove the folder"
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
        known: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        dict(known["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(note, error) from error
    return known


def _damaged(note: Path, error: Exception) -> ValueError:
    return ValueError(f"{note}: is damaged ({error}); remove the folder, or mend it")


def _write(note: Path, content: dict[str, Any]) -> None:
    with atomic_write(note, "w") as file:
        file.write(json.dumps(content, indent=1))
