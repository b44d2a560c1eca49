"""Signals to a task of a pipeline: what it has made is undone when it is told to end."""

import contextlib
from collections.abc import Callable, Iterator

from precisionflow.stopping import ends_when_stopped


@contextlib.contextmanager
def undone_when_stopped(undo: Callable[[], None]) -> Iterator[None]:
    """SIGTERM or Ctrl-C inside the block: call `undo`, then end the process."""
    with ends_when_stopped():
        try:
            yield
        except (SystemExit, KeyboardInterrupt):
            undo()
            raise
