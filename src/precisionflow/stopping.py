"""A process that is told to end undoes first what it has made."""

import contextlib
import signal
import threading
from collections.abc import Iterator

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
