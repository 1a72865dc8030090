"""Finding the files of a data set, in an order that people expect."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from fastcount.data.base import DatasetError
from fastcount.pictures import SUFFIXES


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts IMG_2 before IMG_10."""
    parts = re.split(r"(\d{1,999})", name)  # of longer ones Python makes no numbers
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def plain_path(text: str) -> str:
    """One spelling for all of a path's: ``a.png`` for ``./a.png`` and for ``sub/../a.png``."""
    return posixpath.normpath(text)


def existing_folder(root: Path, candidates: Iterable[str], *, name: str, layout: str) -> Path:
    """The first of ``candidates`` below ``root`` that is a folder.

    Raises :class:`DatasetError` that tells the expected ``layout`` where none is.
    """
    wanted = tuple(candidates)
    for candidate in wanted:
        if (root / candidate).is_dir():
            return root / candidate
    raise DatasetError(
        f"{name}: no folder {' or '.join(str(root / one) for one in wanted)}; expected {layout}"
    )


def pictures_in(folder: Path, *, name: str, layout: str) -> list[Path]:
    """The pictures of a folder in natural order; :class:`DatasetError` where it holds none."""
    if not folder.is_dir():
        raise DatasetError(f"{name}: no folder {folder}; expected {layout}")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        raise DatasetError(f"{name}: no pictures in {folder}; expected {layout}")
    return sorted(found, key=lambda path: natural_key(path.name))


def stems_of(paths: Iterable[Path], *, name: str) -> tuple[str, ...]:
    """The pictures' names without suffixes; :class:`DatasetError` where two share one, for their
    annotations would be one, too."""
    known: dict[str, Path] = {}
    for path in paths:
        other = known.setdefault(path.stem, path)
        if other is not path:
            raise DatasetError(
                f"{name}: {other} and {path.name} would share one annotation; rename one"
            )
    return tuple(known)


def require_distinct(ids: Iterable[str], file: Path, *, name: str) -> None:
    """Raises :class:`DatasetError` where ``file`` lists a picture twice, or none at all."""
    known: set[str] = set()
    for one in ids:
        if one in known:
            raise DatasetError(f"{name}: {file} lists {one[:200]} twice; take one of them out")
        known.add(one)
    if not known:
        raise DatasetError(f"{name}: {file} lists no picture; unpack it again")


def require_files(paths: Iterable[Path], *, name: str, what: str) -> None:
    """Raises :class:`DatasetError` that counts and names the missing files."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DatasetError(
            f"{name}: no {what} {missing[0]}{more}; unpack the data set again, or remove the "
            "pictures that have none"
        )
