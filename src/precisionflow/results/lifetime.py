"""Lifetime of processes that write results: none outlives the one that started it, and how one leaves."""

import ctypes
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
"""Number of the option in linux/prctl.h."""


def end_with_parent() -> None:
    """Have Linux kill this process when its parent dies: it does not go on writing where a new run will start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def leave(code: int = 0) -> NoReturn:
    """End a process whose work is done, without the end of the interpreter.

    That end takes a third of a second where torch or kfp is imported. In a rank a thread of gloo may let go of its last
    tensor after the process group is destroyed: when the interpreter ends at the same moment, that thread aborts the
    rank, and torchrun stops the others while they still write.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
