"""Every test draws the same numbers whatever ran before it; and where real pictures and public
weights are looked for: tests that need them skip without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _the_same_numbers() -> None:
    """Weights and inputs that a test draws must not depend on the tests before it, nor on how many
    processes share them."""
    torch.manual_seed(0)


def _folder(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"no folder {folder or 'named'}: set {variable} to run this test")
    return Path(folder)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets: FASTCOUNT_DATA."""
    return _folder("FASTCOUNT_DATA")


@pytest.fixture(scope="session")
def peers_dir() -> Path:
    """The folder with other people's public weights: FASTCOUNT_PEERS."""
    return _folder("FASTCOUNT_PEERS")
