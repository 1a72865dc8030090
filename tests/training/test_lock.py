"""A run's folder belongs to one process at a time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only
from tiny_runs import write_run

from fastcount.cli import main
from fastcount.training import lock
from fastcount.training.fit import fit
from fastcount.training.lock import only_one

HOLD = """
import os, sys, time
from pathlib import Path
from fastcount.training.lock import only_one
with only_one(Path(sys.argv[1]), print):
    if os.fork() == 0:  # as one that reads pictures
        time.sleep(60)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_living_run_is_not_started_again_and_a_killed_one_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out" / "tiny"
    folder.mkdir(parents=True)
    (folder / ".last.1-aa.ckpt").write_bytes(b"being written")
    config = write_run(tmp_path, output=str(tmp_path / "out"))
    command = [sys.executable, "-c", HOLD, str(folder)]
    living = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, close_fds=True
    )
    assert living.stdout is not None
    try:
        assert living.stdout.readline() == "held\n"
        assert main(["train", str(config)]) == 1
        told = capsys.readouterr().err
        assert f"{folder}: process {living.pid} on " in told
        assert "is training this run; wait for it to end or stop it" in told
        assert sorted(each.name for each in folder.iterdir()) == [".last.1-aa.ckpt", "run.lock"]
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        with pytest.raises(ValueError, match="accelerator"):  # it came as far as this
            fit(config, ["accelerator=nothing"])
        monkeypatch.setattr(rank_zero_only, "rank", 0)
        living.send_signal(signal.SIGKILL)
        living.wait()
        assert fit(config).is_file()
    finally:
        os.killpg(living.pid, signal.SIGKILL)


def test_where_there_are_no_locks_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", refuse)
    told: list[str] = []
    with only_one(tmp_path, told.append):
        pass
    assert len(told) == 1
    assert "run.lock cannot be locked" in told[0]
