"""What a run's data look like, so that a run that goes on can tell whether they still are those."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fastcount.data.base import CountingDataset


@dataclass(frozen=True)
class Fingerprint:
    """Of one data set of a run: ``train`` and ``validation`` are numbers of pictures, ``pictures``
    and ``truth`` hashes over all of them in their order."""

    dataset: str
    train: int
    validation: int
    pictures: str
    truth: str


def truth_hash(dataset: CountingDataset, index: int) -> str:
    """SHA-256 of what is annotated in a picture. Raises what reading the annotation does."""
    truth = dataset.annotation(index)
    digest = hashlib.sha256(repr(truth.count).encode())
    for name in ("points", "boxes", "labels"):
        values = getattr(truth, name)
        digest.update(f"{name} {None if values is None else values.shape}".encode())
        if values is not None:
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def fingerprint(
    spec: str,
    classes: Sequence[str],
    train: Iterable[tuple[str, str]],
    validation: Iterable[tuple[str, str]],
) -> Fingerprint:
    """``train``, ``validation``: the content hash and the :func:`truth_hash` of every picture."""
    sides = list(train), list(validation)
    both = [*sides[0], ("", ""), *sides[1]]
    return Fingerprint(
        spec,
        len(sides[0]),
        len(sides[1]),
        _of(content for content, _ in both),
        _of([*classes, *(truth for _, truth in both)]),
    )


def difference(before: Fingerprint, now: Fingerprint) -> str | None:
    """What has changed, in words; None for nothing."""
    if (before.train, before.validation) != (now.train, now.validation):
        return (
            f"{now.dataset} had {before.train} pictures to train on and {before.validation} for "
            f"validation, now {now.train} and {now.validation}"
        )
    if before.pictures != now.pictures:
        return f"{now.dataset} holds other pictures, or the same in another order"
    if before.truth != now.truth:
        return f"{now.dataset} has other annotations of the same pictures"
    return None


def _of(hashes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
