"""Validation splits that training cannot touch: by what a picture shows, not by its name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fastcount.data.base import CountingDataset


def content_hash(dataset: CountingDataset, index: int) -> str:
    """SHA-256 of the decoded pixels of a picture: the same for copies under any name.

    Also for those in another format that loses nothing. One that was compressed again, resized or
    turned is another picture.
    """
    pixels = np.ascontiguousarray(dataset.picture(index))
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    return digest.hexdigest()


def content_hashes(dataset: CountingDataset) -> list[str]:
    """:func:`content_hash` of every picture; each is decoded once."""
    return [content_hash(dataset, index) for index in range(len(dataset))]


def split_by_content(
    dataset: CountingDataset,
    fraction: float,
    seed: int = 0,
    *,
    hashes: Sequence[str] | None = None,
) -> tuple[list[int], list[int]]:
    """Indices for training and for validation, about ``fraction`` of the pictures in the latter.

    A picture's side depends on its pixels and ``seed`` alone: duplicates always share a side,
    also across data sets that are split with the same ``fraction`` and ``seed``, and adding
    pictures moves no other picture across. ``hashes``: the :func:`content_hashes` of the data
    set where they are known already, or every picture is decoded once.

    Raises ``ValueError`` where ``fraction`` is not between 0 and 1, or a side would be empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
    sides: tuple[list[int], list[int]] = ([], [])
    for index, content in enumerate(content_hashes(dataset) if hashes is None else hashes):
        digest = hashlib.sha256(f"{seed}:{content}".encode()).digest()
        draw = int.from_bytes(digest[:8], "big") / 2**64
        sides[draw < fraction].append(index)
    train, validation = sides
    if not train or not validation:
        raise ValueError(
            f"fraction {fraction} with seed {seed} leaves {len(train)} pictures for training and "
            f"{len(validation)} for validation; choose another seed or fraction"
        )
    return train, validation


def find_duplicates(a: CountingDataset, b: CountingDataset) -> list[tuple[str, str]]:
    """The pairs (id in ``a``, id in ``b``) of pictures with the same pixels.

    With ``b`` the same object as ``a``: the pairs within it, each once, no picture with itself.
    """
    seen: dict[str, list[int]] = defaultdict(list)
    for index in range(len(a)):
        seen[content_hash(a, index)].append(index)
    if b is a:
        return [
            (a.ids[first], a.ids[second])
            for group in seen.values()
            for position, first in enumerate(group)
            for second in group[position + 1 :]
        ]
    return [
        (a.ids[first], b.ids[second])
        for second in range(len(b))
        for first in seen.get(content_hash(b, second), ())
    ]
