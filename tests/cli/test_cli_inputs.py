"""What arguments mean: patterns, web addresses, names of overlays."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fastcount.cli import inputs
from fastcount.cli.inputs import Input, expand, fetch, overlay_names
from fastcount.pictures import PictureError


@pytest.fixture
def server(pictures: Path) -> Iterator[str]:
    data = (pictures / "a.png").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/missing.png":
                self.send_error(404)
                return
            self.send_response(200)
            if self.path != "/endless.png":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:100] if self.path == "/cut.png" else data)

        def log_message(self, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_an_address_is_fetched_and_counted(run_json, model_file: str, server: str) -> None:
    code, entries = run_json(
        *("count", f"{server}/street%20one.png?x=1", f"{server}/missing.png"),
        *("--model", model_file, "--json"),
    )
    assert code == 1
    assert entries[0]["count"] > 0
    assert entries[0]["path"] == f"{server}/street%20one.png?x=1"
    assert "404" in entries[1]["error"]


def test_addresses_that_give_no_picture(server: str) -> None:
    with pytest.raises(PictureError, match=r"longer than 1,000 bytes; download it"):
        fetch(f"{server}/a.png", longest=1000)
    with pytest.raises(PictureError, match="longer than"):
        fetch(f"{server}/endless.png", longest=1000)
    with pytest.raises(PictureError, match=r"broke off|cannot be fetched"):
        fetch(f"{server}/cut.png")
    with pytest.raises(PictureError, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/a.png")
    with pytest.raises(PictureError, match="cannot be fetched"):
        fetch("http://[bad/a.png")
    assert len(fetch(f"{server}/endless.png")) > 1000


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(inputs, "PATIENCE", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(PictureError, match="timed out"),
    ):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/a.png")


def test_patterns_and_repeats(pictures: Path) -> None:
    found, failed = expand([str(pictures / "**" / "*.png"), str(pictures / "a.png")])
    assert [Path(each.text).relative_to(pictures).as_posix() for each in found] == [
        "a.png",
        "sub/a.png",
    ]
    assert failed == []
    odd = pictures / "x[1].png"
    odd.touch()
    assert expand([str(odd)]) == ([Input(str(odd))], [])


def test_arguments_that_name_no_picture(pictures: Path) -> None:
    empty = pictures / "empty"
    empty.mkdir()
    found, failed = expand([str(empty), str(pictures / "*.webp"), str(pictures / "gone.png")])
    assert [each.text for each in found] == [str(pictures / "gone.png")]
    assert [argument for argument, _ in failed] == [str(empty), str(pictures / "*.webp")]


def test_overlay_names_never_clash() -> None:
    texts = ["a/x.jpg", "b/x.png", "b/X.gif", "c/x-2.png", "-", "http://h/../%2e%2e/e%2Fvil.png"]
    names = overlay_names([Input(text) for text in texts])
    assert names[:2] == ["x.overlay.png", "x-2.overlay.png"]
    assert len({name.casefold() for name in names}) == len(texts)
    assert not any("/" in name or ".." in name for name in names)


def test_one_picture_named_twice_is_one(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    (pictures / "link").symlink_to(pictures / "sub")
    inputs, failed = expand(
        ["a.png", "./a.png", "sub/../a.png", "link/../a.png", str(pictures / "a.png"), "."]
    )
    assert [one.text for one in inputs] == ["a.png", "b.jpg", "sub/a.png"]
    assert failed == []


def test_what_names_nothing_or_cannot_be_looked_at(pictures: Path) -> None:
    inputs, failed = expand(["", "a" * 300 + ".jpg", str(pictures / "b.jpg")])
    assert [one.text for one in inputs] == [str(pictures / "b.jpg")]
    assert "names no picture" in failed[0][1]
    assert "cannot be looked at" in failed[1][1]


def test_a_folder_that_cannot_be_read_is_told(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    inputs, failed = expand([str(pictures)])
    assert len(inputs) == 2
    assert failed == [
        (str(pictures / "sub"), f"{pictures / 'sub'}: cannot be read (Permission denied)")
    ]
