"""Locks between processes: one run for a folder, one training on ranks at a time."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def parents_of(folder: Path) -> Iterator[None]:
    """Make the parents of `folder`; remove those that the block leaves empty."""
    absent = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in absent:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def held(file: Path, *, wait: bool = True) -> TextIO:
    """A lock file, opened when no other process holds it; one that its last holder has removed is made again.

    BlockingIOError where another process holds it and `wait` is false.
    """
    while True:
        file.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as opened:
            lock = opened.enter_context(file.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_nlink:
                opened.pop_all()
                return lock


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a results folder for one run; ValueError when another process holds it."""
    file = folder / ".lock"
    with parents_of(file):
        try:
            lock = held(file, wait=False)
        except BlockingIOError:
            raise ValueError(
                f"{folder}: another run is writing here; wait for it or choose another --out"
            ) from None
        with lock:
            try:
                yield
            finally:
                file.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether a run is writing into a results folder."""
    return is_locked(folder / ".lock")


def is_locked(file: Path) -> bool:
    """Whether a process holds a lock file."""
    try:
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def turn(folder: Path, *, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Wait until no other process is inside such a block with this folder; `waits` is called where there is one."""
    file = folder / ".turn"
    try:
        lock = held(file, wait=False)
    except BlockingIOError:
        waits()
        lock = held(file)
    with lock:
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
