"""A real browser without a screen, told what to do by the Chrome DevTools Protocol over a pipe."""

import base64
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_OFF = ["quic", "background-networking", "component-update", "sync", "gpu", "dev-shm-usage", "extensions"]
_PATIENCE = 60.0
"""Seconds after which a browser is stopped that no longer answers."""


#: Virtual codes of keys that are not their letter's.
_CODES = {" ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27, "Enter": 13}


def until(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What `look` returns as soon as that is true, within so many seconds."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


class Page:
    """One tab."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._last = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """All that the browser told by itself so far."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._last += 1
        message: dict[str, object] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            said = self._read()
            if said.get("id") == self._last:
                assert "error" not in said, said["error"]
                result: dict[str, Any] = said["result"]
                return result
            self.events.append(said)

    def open(self, path: Path) -> None:
        """Load a file and wait until it is there with all it needs."""
        self.call("Page.navigate", url=path.absolute().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def open_again(self, path: Path, width: int = 1280) -> None:
        """As `open`, for the first time or once more, on a screen of this width."""
        self.screen(width)
        self.events.clear()
        self.open(path)

    def screen(self, width: int) -> None:
        """From now on the screen is so wide; below 600 it is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )

    def press(self, *keys: str) -> None:
        """Press these keys one after the other, by their names in JavaScript."""
        for key in keys:
            code = _CODES.get(key, ord(key[0].upper()))
            text = {"text": key} if len(key) == 1 else {}
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def refused(self) -> list[dict[str, Any]]:
        """What the browser logged: what the page's policy refuses, and errors of its script."""
        return [*self.of("Log.entryAdded"), *self.of("Runtime.exceptionThrown")]

    def evaluate(self, script: str) -> Any:
        """The value of an expression, a promise's when it is one, in the page as if a person had clicked there."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def overflow(self) -> Any:
        """By how many pixels the page is wider than its screen without the scroll bar."""
        return self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def prefer(self, dark: bool) -> None:
        """From now on a person wants pages in dark, or in light colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def look(self, width: int, dark: bool = False) -> bytes:
        """The whole page as a PNG, on a screen of this width."""
        self.screen(width)
        self.prefer(dark)
        size = self.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def of(self, method: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event["params"] for event in self.events if event["method"] == method]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        letters = bytearray()
        while (letter := self._process.stdout.read(1)) != b"\0":
            if not letter:
                raise AssertionError("the browser is gone")
            letters += letter
        said: dict[str, Any] = json.loads(letters)
        return said


@contextmanager
def browser(profile: Path, patience: float = _PATIENCE) -> Iterator[Page]:
    """A tab of a browser of its own, whose profile is a folder that is not there yet.

    After `patience` seconds the browser is stopped.
    """
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={profile}"]
    command += [f"--disable-{what}" for what in _OFF]
    command += ["--remote-debugging-pipe", "about:blank"]
    # It reads from descriptor 3 and writes to 4.
    shell = ["/bin/sh", "-c", 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2', "sh", *command]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        watch = threading.Timer(patience, process.kill)
        watch.start()
        try:
            page = Page(process)
            yield page
            page._session = None
            with suppress(OSError, AssertionError):  # it may have been stopped
                page.call("Browser.close")
        finally:
            watch.cancel()
            process.kill()
