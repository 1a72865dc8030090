"""The pictures that arguments mean: files, folders, patterns, addresses, standard input."""

from __future__ import annotations

import functools
import glob
import os
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from fastcount.pictures import SUFFIXES, PictureError

OVERLAY_SUFFIX = ".overlay.png"
LONGEST_DOWNLOAD = 256 * 2**20  # bytes
PATIENCE = 30.0  # seconds that a server may be silent


@dataclass(frozen=True)
class Input:
    """One picture to count. ``text``: as it is named in results."""

    text: str

    @property
    def is_address(self) -> bool:
        return self.text.lower().startswith(("http://", "https://"))

    @property
    def stem(self) -> str:
        """A file name for what is written about it, without suffix."""
        if self.text == "-":
            return "stdin"
        if self.is_address:
            path = self.text.partition("?")[0].partition("#")[0]
            name = _without_suffix(PurePosixPath(unquote(path)))
            return "".join(c if c.isalnum() or c in "-_. " else "_" for c in name) or "picture"
        return _without_suffix(Path(self.text))

    def source(self) -> Path | bytes:
        """What :func:`fastcount.pictures.open_picture` takes; fetched where it is an address."""
        if self.text == "-":
            if sys.stdin is None:
                raise PictureError("-: standard input is closed; name a file")
            return sys.stdin.buffer.read()
        return fetch(self.text) if self.is_address else Path(self.text)


def _without_suffix(path: PurePath) -> str:
    """The name without a picture's suffix; ``frame.0001`` has none."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def expand(arguments: list[str]) -> tuple[list[Input], list[tuple[str, str]]]:
    """The pictures, in order, without repeats; and (argument, reason) of those that name none.

    A folder means every picture in it and below, but for hidden files and overlays written
    earlier. A pattern such as ``**/*.jpg`` is expanded where the shell has not done so.
    """
    found: dict[str, str] = {}  # by the whole path, so that no picture counts twice
    resolved = functools.cache(Path.resolve)
    failed: list[tuple[str, str]] = []

    def take(*names: str) -> None:
        for name in names:
            place = Path(name)
            found.setdefault(str(resolved(place.parent) / place.name) if name else name, name)

    for argument in arguments:
        if argument == "-" or Input(argument).is_address:
            found[argument] = argument
            continue
        if not argument:
            failed.append((argument, "'': names no picture; is a variable of the shell not set?"))
            continue
        try:
            is_folder, exists = Path(argument).is_dir(), Path(argument).exists()
        except OSError as error:
            failed.append((argument, f"{argument}: cannot be looked at ({error.strerror})"))
            continue
        if is_folder:
            pictures, unread = _in_folder(Path(argument))
            failed += [(name, f"{name}: cannot be read ({why})") for name, why in unread]
            if not pictures and not unread:
                failed.append((argument, f"{argument}: holds no pictures; name another folder"))
            take(*pictures)
        elif not exists and glob.has_magic(argument):
            # Path.glob takes no absolute patterns.
            matches = sorted(
                match
                for match in glob.glob(argument, recursive=True)  # noqa: PTH207
                if Path(match).is_file()
            )
            if not matches:
                failed.append((argument, f"{argument}: no file is like this; check the pattern"))
            take(*matches)
        else:
            take(argument)
    return [Input(text) for text in found.values()], failed


def _in_folder(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """The pictures in it and below, and (folder, reason) of those that cannot be read."""
    unread: list[tuple[str, str]] = []
    pictures = []
    for at, below, files in os.walk(
        folder, onerror=lambda error: unread.append((str(error.filename), str(error.strerror)))
    ):
        below[:] = [name for name in below if not name.startswith(".")]
        pictures += [
            str(Path(at, name))
            for name in files
            if Path(name).suffix.lower() in SUFFIXES
            and not name.endswith(OVERLAY_SUFFIX)
            and not name.startswith(".")
            and Path(at, name).is_file()
        ]
    return sorted(pictures), unread


def overlay_names(inputs: list[Input]) -> list[str]:
    """A file name for the overlay of each input, no two the same on any file system."""
    return [stem + OVERLAY_SUFFIX for stem in unique_stems(inputs)]


def unique_stems(inputs: list[Input]) -> list[str]:
    """File names without suffix for what is written about each, no two the same anywhere."""
    taken: set[str] = set()
    names = []
    for each in inputs:
        name, number = each.stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{each.stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def fetch(address: str, *, longest: int = LONGEST_DOWNLOAD) -> bytes:
    """The bytes at a web address.

    Raises :class:`PictureError` where nothing comes, or more than ``longest`` bytes do.
    """
    import http.client  # here, for counting a file should not wait for them
    import urllib.error
    import urllib.request

    try:
        request = urllib.request.Request(address, headers={"User-Agent": "fastcount"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            data: bytes = answer.read(longest + 1)
            whole = answer.length in (None, 0) or len(data) > longest
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise PictureError(f"{address}: cannot be fetched ({error}); check the address") from error
    if len(data) > longest:
        raise PictureError(
            f"{address}: is longer than {longest:,} bytes; download it and name the file"
        )
    if not whole:
        raise PictureError(f"{address}: the connection broke off; try again")
    return data
