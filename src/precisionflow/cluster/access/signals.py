"""Signals to a task of a pipeline: what it has made is undone when it is told to end."""

import contextlib
import signal
from collections.abc import Callable, Iterator

STOPPED_BY_SIGNAL = 143
"""Exit code after SIGTERM, by the shells' custom."""


@contextlib.contextmanager
def undone_when_stopped(undo: Callable[[], None]) -> Iterator[None]:
    """SIGTERM or Ctrl-C inside the block: call `undo`, then end the process."""

    def end(*_: object) -> None:
        raise SystemExit(STOPPED_BY_SIGNAL)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        undo()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
