"""Lifetime of processes that write results: none outlives the one that started it, and how one leaves."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

PR_SET_PDEATHSIG = 1
"""Number of the option in linux/prctl.h."""
STOPPED_BY_SIGNAL = 143
"""Exit code after SIGTERM, by the shells' custom."""


def end_with_parent() -> None:
    """Have Linux kill this process when its parent dies: it does not go on writing where a new run will start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


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


def leave() -> NoReturn:
    """End a process whose work is done, without the end of the interpreter.

    That end takes a third of a second where torch is imported. In a rank a thread of gloo may let go of its last
    tensor after the process group is destroyed: when the interpreter ends at the same moment, that thread aborts the
    rank, and torchrun stops the others while they still write.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
