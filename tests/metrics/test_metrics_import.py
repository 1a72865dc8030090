from __future__ import annotations

import subprocess
import sys

import pytest

import fastcount.metrics


def test_functions_need_no_torchmetrics() -> None:
    code = (
        "import sys; sys.modules['torchmetrics'] = None\n"
        "import torch, fastcount.metrics.functional as f\n"
        "assert f.count_error(torch.ones(2), torch.ones(2))['mae'] == 0\n"
        "from fastcount.metrics import CountError\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "fastcount[train]" in done.stderr


def test_all_names_are_there() -> None:
    for name in fastcount.metrics.__all__:
        assert getattr(fastcount.metrics, name).__name__ == name
    with pytest.raises(AttributeError, match="Nonsense"):
        fastcount.metrics.Nonsense  # noqa: B018
