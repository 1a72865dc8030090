from __future__ import annotations

from pathlib import Path

import pytest

from fastcount.files import atomic_path, atomic_write


def test_bytes_and_text(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "new/a.bin") as file:
        file.write(b"\x00\x01")
    with atomic_write(tmp_path / "b.txt", "w") as file:
        file.write("Zähler\n")
    assert (tmp_path / "new/a.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "b.txt").read_bytes() == "Zähler\n".encode()


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_write(target, "w") as file:
        file.write("new")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(TypeError), atomic_write(target) as file:
        file.write("text where bytes are due")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_path_keeps_its_suffix_and_must_be_written(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "model.onnx") as path:
        assert path.parent == tmp_path
        assert path.suffix == ".onnx"
        path.write_bytes(b"x")
    assert (tmp_path / "model.onnx").read_bytes() == b"x"
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "never"):
        pass
    assert not (tmp_path / "never").exists()


def test_appending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ab'"), atomic_write(tmp_path / "a", "ab"):
        pass
