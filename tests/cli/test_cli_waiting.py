"""The progress bar shows itself to a person who waits, and to nobody else."""

from __future__ import annotations

import pytest

from fastcount.cli import waiting
from fastcount.cli.waiting import Waiting


@pytest.mark.parametrize(("patience", "terminal"), [(0.0, True), (60.0, True), (0.0, False)])
def test_a_bar_after_a_while_on_a_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    patience: float,
    terminal: bool,
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", patience)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    with Waiting("counting", 3) as bar:
        bar.step()
        bar.part(0.5)
    captured = capsys.readouterr()
    assert captured.out == ""
    if patience == 0 and terminal:
        assert "counting" in captured.err
        assert "/3" in captured.err
    else:
        assert captured.err == ""
