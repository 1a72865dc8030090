"""A run whose weights are no numbers any more ends, and writes none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import CELLS, write_run

from fastcount.cli import main
from fastcount.training.fit import fit
from fastcount.training.module import CountingModule


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third step's loss is no number."""
    plain = CountingModule.training_step

    def spoilt(self: CountingModule, batch: Any, index: int) -> Any:
        loss = plain(self, batch, index)
        return loss * float("nan") if self.global_step == 2 else loss

    monkeypatch.setattr(CountingModule, "training_step", spoilt)


@pytest.mark.usefixtures("diverging")
@pytest.mark.parametrize(
    "changes",
    [
        {"train": [{"dataset": CELLS}]},
        {"train": [{"dataset": CELLS, "validate": False}]},  # nothing would be counted
        {"validate_every": 3},  # the very last step
    ],
)
def test_a_diverged_run_says_so_and_keeps_what_was_whole(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = write_run(tmp_path, **{"steps": 3, "validate_every": 2, **changes})
    with pytest.raises(FloatingPointError, match=r"diverged: after step 3 .* lower lr"):
        fit(config)
    folder = tmp_path / "tiny"
    assert not list(folder.glob("*.safetensors"))
    for path in folder.glob("*.ckpt"):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(torch.isfinite(values).all()) for values in state.values())


@pytest.mark.usefixtures("diverging")
def test_the_command_fails_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(write_run(tmp_path, steps=3))]) == 1
    told = capsys.readouterr().err
    assert "the training diverged" in told
    assert "Traceback" not in told
