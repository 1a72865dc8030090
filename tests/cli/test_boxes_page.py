"""The page of ``fastcount boxes --page``: its answers, and a browser that draws on it."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browser
from PIL import Image

from fastcount.cli.boxes_page import PresetsServer
from fastcount.data import open_dataset
from fastcount.data.boxes_from_dots import Presets

DOTS = [(40, 60), (90, 70), (150, 160), (220, 200), (300, 230)]


@pytest.fixture
def dotted(tmp_path: Path) -> str:
    """Two pictures of 320x240, a.png with five dots and b.png with two."""
    rng = np.random.default_rng(0)
    lines = ["path,x,y"]
    for name, dots in (("a.png", DOTS), ("b.png", DOTS[:2])):
        pixels = rng.integers(90, 130, (240, 320, 3)).astype(np.uint8)
        for x, y in dots:
            half = 3 + y // 20
            pixels[y - half : y + half, x - half : x + half] = 220
            lines.append(f"{name},{x},{y}")
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "points.csv").write_text("\n".join(lines) + "\n")
    return f"csv:{tmp_path / 'points.csv'}"


@pytest.fixture
def server(dotted: str, tmp_path: Path) -> Iterator[PresetsServer]:
    with PresetsServer(open_dataset(dotted), tmp_path / "presets.json") as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_answers_and_refusals(server: PresetsServer) -> None:
    url, scenes = server.url, [{"pictures": ["a*"], "boxes": [[30, 50, 50, 70]]}]
    assert b"Preset boxes" in ask(url)[1]
    assert json.loads(ask(f"{url}start")[1]) == {"names": ["a.png", "b.png"], "scenes": []}
    assert len(json.loads(ask(f"{url}dots/0")[1])) == len(DOTS)
    assert ask(f"{url}picture/1")[1].startswith(b"\xff\xd8")
    assert (
        ask(f"{url}preview", {"scenes": scenes, "picture": 1})[1] == b'{"scene": null, "boxes": []}'
    )
    filled = json.loads(ask(f"{url}preview", {"scenes": scenes, "picture": 0})[1])
    assert filled["scene"] == 0
    assert filled["boxes"][0] == [30.5, 50.5, 50.5, 70.5]  # the size of the only preset
    assert ask(f"{url}presets", {"scenes": scenes})[0] == 200
    assert Presets.read(server.file).of("a.png").tolist() == [[30, 50, 50, 70]]
    for body in ({}, {"scenes": [{"pictures": ["a"], "boxes": [[3, 3, 1, 1]]}]}):
        code, why = ask(f"{url}presets", body)
        assert code == 400
        assert b"presets: " in why
    assert Presets.read(server.file).of("a.png") is not None  # what was there is still there
    for path in ("picture/2", "dots/x", "../presets.json", "picture/../../etc/passwd"):
        assert ask(f"{url}{path}")[0] == 404
    assert ask(f"{url}done", {}, **{"Content-Type": "text/plain"})[0] == 415
    assert ask(f"{url}start", Host="elsewhere.example:80")[0] == 403


def test_what_no_page_of_ours_asks(server: PresetsServer, capfd: Any) -> None:
    url, host = server.url, "127.0.0.1"
    for number in ("%C2%B2", "9" * 5_000):  # the former is sent as it stands
        assert ask(f"{url}dots/{number}")[0] == 404
    with socket.create_connection((host, server.server_address[1])) as line:
        line.sendall(b"GET /dots/\xb2 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")  # as on port 80
        assert b" 404 " in line.makefile("rb").readline()
    for body in ("[" * 100_000, '{"picture": Infinity}', "[]", "null", '{"picture": 0}'):
        request = urllib.request.Request(
            f"{url}preview", body.encode(), {"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request)
    assert ask(f"{url}start", Host="127.0.0.1.example:80")[0] == 403
    assert capfd.readouterr().err == ""


def test_presets_of_another_program(dotted: str, tmp_path: Path) -> None:
    file = tmp_path / "presets.json"
    scene = '{"pictures": ["ä*"], "boxes": [[1, 1, 5, 5]]}'
    file.write_text(f'{{"scenes": [{scene}]}}', encoding="utf-8-sig")
    with PresetsServer(open_dataset(dotted), file) as server:
        assert server.scenes == [json.loads(scene)]


def test_a_browser_draws_removes_and_finishes(dotted: str, tmp_path: Path, run: Any) -> None:
    file, out = tmp_path / "presets.json", tmp_path / "boxes.json"
    with browser(tmp_path) as tab, PresetsServer(open_dataset(dotted), file) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        tab.command("Page.navigate", url=server.url)
        tab.wait("document.body.dataset.ready === 'yes'")
        left, top, scale = tab.run(
            "(() => { const r = canvas.getBoundingClientRect(); return [r.left, r.top, scale]; })()"
        )

        def drag(x1: float, y1: float, x2: float, y2: float) -> None:
            x1, x2 = (left + x * scale for x in (x1, x2))
            y1, y2 = (top + y * scale for y in (y1, y2))
            tab.drag(x1, y1, x2, y2)

        drag(34, 54, 47, 67)
        tab.wait("scenes.length === 1 && filled.length === 5")
        drag(286, 216, 315, 245 - 2)
        tab.wait("scenes[0].boxes.length === 2 && filled.length === 5")
        drag(100, 100, 120, 130)
        tab.wait("scenes[0].boxes.length === 3")
        drag(110, 110, 110, 110)  # a click chooses that box
        tab.wait("chosen === 2")
        tab.run("document.getElementById('remove').click()")
        tab.wait("document.getElementById('state').textContent.startsWith('saved: 2')")
        tab.run("{const p = document.getElementById('pattern'); p.value = '*'; p.onchange();}")
        tab.wait("scenes[0].pictures[0] === '*'")
        tab.screenshot(tmp_path / "page.png")
        tab.run("document.getElementById('next').click()")
        tab.wait("index === 1 && filled.length === 2")
        tab.run("document.getElementById('done').click()")
        thread.join(120)
        assert not thread.is_alive()
    drawn = Presets.read(file).of("b.png")
    assert drawn is not None
    np.testing.assert_allclose(drawn, [[34, 54, 47, 67], [286, 216, 315, 243]], atol=1)
    assert run("boxes", dotted, "--presets", file, "--out", out)[0] == 0
    boxes = open_dataset(f"coco:{out}").annotation(0).boxes
    sides = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
    assert (np.diff(sides) > 0).all()  # from far to near
    with Image.open(tmp_path / "page.png") as seen:
        assert seen.size == (900, 600)


def test_command_wants_a_file(dotted: str, run: Any) -> None:
    code, _, err = run("boxes", dotted, "--page")
    assert code == 2
    assert "--presets" in err
    code, _, err = run("boxes", dotted)
    assert code == 2
    assert "--out" in err
