"""A headless Chromium of the system, spoken to by its DevTools protocol over a pipe."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_COMMAND = (
    'exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe '
    '--no-first-run --hide-scrollbars --user-data-dir="$1" about:blank 3<&"$2" 4>&"$3"'
)


def installed() -> str | None:
    """The first of PROGRAMS on the path."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """One tab."""

    def __init__(self, commands: IO[bytes], answers: Iterator[Any]) -> None:
        self._commands, self._answers, self._numbers = commands, answers, itertools.count(1)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def _ask(self, method: str, session: str | None = None, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        message |= {"sessionId": session} if session else {}
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        answer = next(answer for answer in self._answers if answer.get("id") == number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def ask(self, method: str, **params: Any) -> Any:
        """What the tab answers to a method of the protocol."""
        return self._ask(method, self._session, **params)

    def show(
        self, file: Path, *, width: int, dark: bool = False, scripts: bool = True, media: str = ""
    ) -> None:
        """Load a file into a window of `width` CSS pixels, or onto paper of that width, and wait until it is there."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.ask("Page.navigate", url=file.resolve().as_uri())
        next(answer for answer in self._answers if answer.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript, as JSON."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, *, code: int) -> None:
        """Press and release a key, which has a text where it is one character."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)


@contextmanager
def opened(program: str, profile: Path) -> Iterator[Page]:
    """A tab of a browser of its own, which ends with the block."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    words = ["bash", "-c", _COMMAND, program, str(profile), str(theirs_in), str(theirs_out)]
    process = subprocess.Popen(
        words, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with open(ours_out, "wb") as commands, open(ours_in, "rb") as answers:
            page = Page(commands, _messages(answers))
            yield page
            commands.write(b'{"id": 0, "method": "Browser.close"}\0')
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _messages(answers: IO[bytes]) -> Iterator[Any]:
    """Messages end with a NUL."""
    rest = b""
    while part := answers.read1(1 << 16):  # type: ignore[attr-defined]
        *whole, rest = (rest + part).split(b"\0")
        yield from map(json.loads, whole)
    raise EOFError("the browser has ended")
