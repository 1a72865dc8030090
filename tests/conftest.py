"""Where real pictures and public weights are looked for; tests that need them skip without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _folder(variable: str, fallback: str) -> Path:
    folder = Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / fallback)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set {variable} to run this test")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets: FASTCOUNT_DATA."""
    return _folder("FASTCOUNT_DATA", "data")


@pytest.fixture(scope="session")
def peers_dir() -> Path:
    """The folder with other people's public weights: FASTCOUNT_PEERS."""
    return _folder("FASTCOUNT_PEERS", "peers")
