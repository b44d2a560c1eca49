"""Signals to a task of a pipeline: what it has made is undone when it is told to end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

STOPPED_BY_SIGNAL = 143
"""Exit code after SIGTERM, by the shells' custom."""


@contextlib.contextmanager
def ends_when_stopped() -> Iterator[None]:
    """SIGTERM inside the block is raised there as SystemExit, so that what it has made is undone; main thread only."""

    def end(*_: object) -> None:
        raise SystemExit(STOPPED_BY_SIGNAL)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def undone_when_stopped(undo: Callable[[], None]) -> Iterator[None]:
    """SIGTERM or Ctrl-C inside the block: call `undo`, then end the process."""
    with ends_when_stopped():
        try:
            yield
        except (SystemExit, KeyboardInterrupt):
            undo()
            raise
