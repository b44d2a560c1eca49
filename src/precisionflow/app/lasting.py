"""A run that outlives its terminal."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast


@contextlib.contextmanager
def outliving_terminal(log: Path) -> Iterator[None]:
    """Inside the block a terminal that is closed ends neither this process nor those that it starts.

    What is printed from then on goes to the end of the file `log`.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out, error = (cast(TextIO, Lasting(stream, log)) for stream in (sys.stdout, sys.stderr))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            yield
    finally:
        signal.signal(signal.SIGHUP, before)


class Lasting:
    """A text stream that goes on in a file when its terminal is gone."""

    def __init__(self, stream: TextIO, log: Path) -> None:
        self._stream = stream
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, as to any stream."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._move(error)
            if getattr(self._stream, "write_through", False):  # nothing was kept
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, as of any stream."""
        try:
            self._stream.flush()
        except OSError as error:
            self._move(error)

    def _move(self, error: OSError) -> None:
        """Where the terminal is gone its descriptor becomes the file's, and what the stream still holds goes there."""
        if error.errno != errno.EIO:
            raise error
        with self._log.open("ab") as file:
            os.dup2(file.fileno(), self._stream.fileno())
        self._stream.flush()
