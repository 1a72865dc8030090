"""Takes hypothesis' place on a machine without it: the tests that need it are skipped and say so.

``gpu_check.py`` puts this folder on PYTHONPATH only where hypothesis is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class _Anything:
    """Whatever a strategy is asked for."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __call__(self, *_: Any, **__: Any) -> _Anything:
        return self


strategies = _Anything()


def given(*_: Any, **__: Any) -> Callable[..., Any]:
    return pytest.mark.skip(reason="hypothesis is not installed")


def settings(*_: Any, **__: Any) -> Callable[..., Any]:
    return lambda test: test
