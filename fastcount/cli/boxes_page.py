"""The local web page of ``fastcount boxes --page``, on which a few boxes a scene are drawn.

It is served to this machine alone, and holds nothing from elsewhere. Pictures are known to it by
number, so no request can name a file.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastcount.data.base import CountingDataset
from fastcount.data.boxes_from_dots import Presets, boxes_for
from fastcount.data.texts import read_json
from fastcount.files import atomic_write

_LARGEST = 1 << 24  # bytes of a request
_NUMBER = re.compile(r"[0-9]{1,9}")


class PresetsServer(ThreadingHTTPServer):
    """Serves the page for ``data`` and writes what is drawn to ``file`` at each change.

    ``port``: 0 takes a free one; ``url`` is where the page is. ``serve_forever`` returns once
    "Done" was pressed. Raises :class:`fastcount.data.DatasetError` where ``file`` is there but
    holds no presets, ``OSError`` where the port is taken.
    """

    daemon_threads = True

    def __init__(self, data: CountingDataset, file: Path, port: int = 0) -> None:
        self.data, self.file = data, file
        self.scenes = _scenes_in(file)
        self.writing = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def start(self, _: Any) -> Any:
        return {"names": list(self.data.ids), "scenes": self.scenes}

    def dots(self, index: int) -> list[list[float]]:
        points = self.data.annotation(index).points
        if points is None:
            raise ValueError(f"{self.data.ids[index]} has a count but no dots")
        dots: list[list[float]] = points.tolist()
        return dots

    def preview(self, wanted: Any) -> Any:
        """Which scene the picture belongs to, and the boxes of all its dots."""
        index = int(wanted["picture"])
        presets = Presets.parse(wanted)
        scene = presets.place_of(self.data.ids[index])
        if scene is None:
            return {"scene": None, "boxes": []}
        points = np.array(self.dots(index)).reshape(-1, 2)
        boxes = boxes_for(points, presets.scenes[scene][1], "neighbours")
        return {"scene": scene, "boxes": boxes.tolist()}

    def presets(self, wanted: Any) -> Any:
        Presets.parse(wanted)
        with self.writing, atomic_write(self.file, "w") as file:
            json.dump({"scenes": wanted["scenes"]}, file, indent=1)
        self.scenes = wanted["scenes"]
        return {}

    def done(self, _: Any) -> Any:
        # From another thread: it waits for the loop that this request keeps busy.
        threading.Thread(target=self.shutdown).start()
        return {}


def _scenes_in(file: Path) -> Any:
    if not file.exists() or not Presets.read(file).scenes:
        return []
    return read_json(file, name="presets", expected="presets")["scenes"]


class _Handler(BaseHTTPRequestHandler):
    server: PresetsServer

    def do_GET(self) -> None:
        name, _, number = self.path.lstrip("/").partition("/")
        if name == "":
            page = resources.files("fastcount.cli").joinpath("boxes_page.html").read_bytes()
            self._send(page, "text/html; charset=utf-8")
        elif name == "start":
            self._answer(lambda: self.server.start(None))
        elif name in ("picture", "dots") and _NUMBER.fullmatch(number):
            if int(number) >= len(self.server.data):
                self._refuse(HTTPStatus.NOT_FOUND, "no such picture")
            elif name == "dots":
                self._answer(lambda: self.server.dots(int(number)))
            else:
                self._picture(int(number))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        # A page of somebody else's can send forms here, but not JSON: browsers ask us first.
        if self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected JSON")
            return
        length = self.headers.get("Content-Length", "")
        if not _NUMBER.fullmatch(length) or not 0 < int(length) <= _LARGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long, or of no known length")
            return
        body = self.rfile.read(int(length))
        deeds = {
            "/preview": self.server.preview,
            "/presets": self.server.presets,
            "/done": self.server.done,
        }
        if self.path in deeds:
            self._answer(lambda: deeds[self.path](json.loads(body)))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def parse_request(self) -> bool:
        """As usual, and refuses a page that reached us under a name of its own."""
        if not super().parse_request():
            return False
        host = self.headers.get("Host", "").partition(":")[0]  # port 80 goes without saying
        if host not in ("127.0.0.1", "localhost"):
            self._refuse(HTTPStatus.FORBIDDEN, "for this machine alone")
            return False
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the person looks at the page."""

    def _picture(self, index: int) -> None:
        file = io.BytesIO()
        try:
            Image.fromarray(self.server.data.picture(index)).save(file, "JPEG", quality=92)
        except (ValueError, OSError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(file.getvalue(), "image/jpeg")

    def _answer(self, deed: Callable[[], Any]) -> None:
        try:
            document = deed()
        except (
            ValueError,
            OSError,
            LookupError,
            TypeError,
            OverflowError,
            RecursionError,
        ) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(json.dumps(document).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(why.encode(), "text/plain; charset=utf-8", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
