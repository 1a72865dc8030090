"""A headless Chromium spoken to through its own pipe: no driver, no further package."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Tab:
    """One page. Commands are those of the DevTools protocol, one NUL-ended JSON line each."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = os.fdopen(to, "wb", 0), os.fdopen(back, "rb")
        self._number, self._session = 0, None
        target = self.command("Target.createTarget", url="about:blank")
        self._session = self.command("Target.attachToTarget", **target, flatten=True)["sessionId"]
        self.command("Page.enable")
        self.command(
            "Emulation.setDeviceMetricsOverride",
            **{"width": 900, "height": 600, "deviceScaleFactor": 1, "mobile": False},
        )

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self) -> bytes:
        line = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser has ended"
            line += byte
        return bytes(line)

    def run(self, script: str) -> Any:
        """The value of ``script``, awaited."""
        answer = self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until ``condition`` is true in the page; at most two minutes."""
        script = f"""new Promise((done, fail) => {{
          const end = Date.now() + 120000;
          (function look() {{
            try {{ if ({condition}) return done(true); }} catch {{}}
            if (Date.now() > end) return fail(new Error("never"));
            setTimeout(look, 20);
          }})();
        }})"""
        self.run(script)

    def mouse(self, kind: str, x: float, y: float) -> None:
        buttons = {"button": "left", "buttons": 1, "clickCount": 1}
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **buttons)

    def drag(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.mouse("mousePressed", x1, y1)
        self.mouse("mouseMoved", x2, y2)
        self.mouse("mouseReleased", x2, y2)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A tab of a browser of its own profile in ``folder``; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    its_in, our_out = os.pipe()
    our_in, its_out = os.pipe()

    def three_and_four() -> None:  # where Chromium looks for the pipe
        spare = os.dup(its_out)
        os.dup2(its_in, 3)
        os.dup2(spare, 4)
        os.set_inheritable(3, True)
        os.set_inheritable(4, True)

    process = subprocess.Popen(
        [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *(f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"),
        ],
        preexec_fn=three_and_four,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(its_in)
    os.close(its_out)
    try:
        tab = Tab(our_out, our_in)
        yield tab
        tab.command("Browser.close")
        process.wait(30)
    finally:
        process.kill()
        process.wait()
