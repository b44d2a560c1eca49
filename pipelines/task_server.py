"""Server of task processes: a Python that imports what tasks need once, and forks a process for each task.

Its argument is the number of a socket. A message there is an `Ask`. With two descriptors it asks for a task: a
connection, on which its requests come and its exit code goes back, and the pipe for all that it prints. With one it
brings the file for what the server itself prints, with none it only says what to import.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import tempfile
import traceback
import weakref
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from precisionflow.results.lifetime import end_with_parent, leave


class Request(NamedTuple):
    """A task, or what its process does ahead of it; goes as a line of JSON."""

    arguments: list[str]
    """Of KFP's executor, or of `ahead`."""
    environment: dict[str, str]
    ahead: str = ""
    """`module:function` that is called before the task is asked for; empty for the task."""


class Ask(NamedTuple):
    """What is asked of the server; goes as JSON behind the number of its bytes."""

    needed: list[str]
    """Modules that are imported before the task's process is forked."""
    ahead: list[str]
    """Modules that are imported, one after the other, while nothing else is asked; in place of those asked before."""


NUMBER = 4
"""Bytes of that number; descriptors come with the first."""


class Descriptors(NamedTuple):
    """What a task gets from who asks for it."""

    connection: int
    output: int


def main() -> None:
    """Serve until the socket is closed; in a forked process run its task."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for ends in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ends, signal.SIG_IGN)
    gc.disable()
    from precisionflow.serving.connection import UNASKED

    os.environ.update(UNASKED | os.environ)
    given = _next(control)
    if given is None:
        return
    gc.enable()
    for of_server in [*weakref.finalize._registry]:  # type: ignore[attr-defined]
        of_server.atexit = False  # a task ends without that of 137 libraries of torch
    for request in _requests(given):
        if request.ahead:
            _do_ahead(request)
            continue
        sys.argv = ["kfp.dsl.executor_main", *request.arguments]
        from kfp.dsl.executor_main import executor_main

        executor_main()
    atexit._run_exitfuncs()
    leave()


def _do_ahead(request: Request) -> None:
    """What keeps it from being done goes to the log: the task does it, or says why it cannot be done."""
    try:
        pkgutil.resolve_name(request.ahead)(*request.arguments)
    except Exception:
        traceback.print_exc()


def _next(control: socket.socket) -> Descriptors | None:
    """In the process of each task what it gets; none in the server when nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    waiting = deque[str]()
    while True:
        while waiting and not _is_asked(control):
            _import(waiting.popleft())
        size, descriptors, *_ = socket.recv_fds(control, NUMBER, len(Descriptors._fields))
        if not size:
            return None
        ask = Ask(**json.loads(control.recv(int.from_bytes(size), socket.MSG_WAITALL)))
        for module in ask.needed:
            _import(module)
        waiting = deque(ask.ahead)
        match descriptors:
            case [log]:
                _print_to(log)
                continue
            case []:
                continue
        given = Descriptors(*descriptors)
        gc.freeze()
        if not os.fork():
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_in_parent(given)
            return given
        for descriptor in given:
            os.close(descriptor)


def _import(module: str) -> None:
    """What cannot be imported is left to the task that needs it, which says so."""
    with contextlib.suppress(Exception):
        importlib.import_module(module)


def _print_to(descriptor: int) -> None:
    """Give this process its output, once it is there."""
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _is_asked(control: socket.socket) -> bool:
    return bool(select.select([control], [], [], 0)[0])


def _wait_in_parent(given: Descriptors) -> None:
    """Go on in a child; this process waits for its end, says its exit code and ends too."""
    end_with_parent()
    child = os.fork()
    if not child:
        end_with_parent()
        return
    os.close(given.output)
    _, status = os.waitpid(child, 0)
    os.write(given.connection, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _requests(given: Descriptors) -> Iterator[Request]:
    """What to do, one after the other: this process has the output of its task, and the environment of each request."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _print_to(given.output)
    with open(given.connection, encoding="utf-8") as asked:
        for line in asked:
            request = Request(**json.loads(line))
            os.environ.clear()
            os.environ.update(request.environment)
            tempfile.tempdir = None
            yield request


if __name__ == "__main__":
    main()
