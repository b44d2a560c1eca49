"""Relay of everything that a run prints or logs: all of it to a file, our own lines to the screen."""

import builtins
import contextlib
import io
import logging
import re
import threading
from collections.abc import Iterator
from typing import TextIO


class Relay(io.TextIOBase):
    """Writes everything to the log and lines of ours to the screen; remembers the first error."""

    MARK = re.compile(r"\s*precisionflow: (.*)")

    def __init__(self, log: TextIO, screen: TextIO) -> None:
        self.log = log
        self.screen = screen
        self.error: str | None = None
        self.lock = threading.Lock()
        self.pending: dict[int, str] = {}

    def write(self, text: str) -> int:
        with self.lock:
            thread = threading.get_ident()
            *lines, self.pending[thread] = (self.pending.get(thread, "") + text).split("\n")
            for line in lines:
                self._line(line)
        return len(text)

    def _line(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()
        if ours := self.MARK.match(line):
            message = ours.group(1)
            if message.startswith("error: "):
                self.error = self.error or message.removeprefix("error: ")
            else:
                self.screen.write(message + "\n")
                self.screen.flush()


@contextlib.contextmanager
def relayed(log: TextIO, screen: TextIO) -> Iterator[Relay]:
    """Everything that is printed or logged goes through a relay.

    kfp replaces `print` and the root logger's handlers while a task runs; two tasks at once can leave theirs behind.
    """
    relay = Relay(log, screen)
    root = logging.getLogger()
    handlers, level, plain_print = root.handlers[:], root.level, builtins.print
    try:
        with contextlib.redirect_stdout(relay), contextlib.redirect_stderr(relay):
            yield relay
    finally:
        builtins.print = plain_print
        root.handlers[:] = handlers
        root.setLevel(level)
