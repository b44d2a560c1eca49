"""Server of task processes: a Python that imports what tasks need once, and forks a process for each task.

Its arguments are the number of a socket and the modules to import, step by step. A message there is an `Ask` and brings
two descriptors: a connection of the task, on which its request comes and its exit code goes back, and the pipe for all
that it prints.
"""

import atexit
import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel

from precisionflow.results.lifetime import end_with_parent, leave


class Request(BaseModel):
    """A task, as JSON."""

    arguments: list[str]
    """Of KFP's executor."""
    environment: dict[str, str]


class Ask(NamedTuple):
    """What a task asks of the server; a byte for each."""

    needed: int
    """Last step of modules that are imported before its process is forked."""
    ahead: int
    """Last step that is imported while it runs and nothing else is asked."""


class Imports:
    """Modules, imported one after the other in the order of their steps."""

    def __init__(self, steps: Sequence[Sequence[str]]) -> None:
        self._waiting = deque((step, module) for step, modules in enumerate(steps) for module in modules)

    def one(self, last: int) -> bool:
        """Import the next module of the steps up to `last`; whether there was one.

        What cannot be imported is left to the task that needs it, which says so.
        """
        if not self._waiting or self._waiting[0][0] > last:
            return False
        with contextlib.suppress(Exception):
            importlib.import_module(self._waiting.popleft()[1])
        return True


class Descriptors(NamedTuple):
    """What a task gets from who asks for it."""

    connection: int
    output: int


def main() -> None:
    """Serve until the socket is closed; in a forked process run its task."""
    control, imports = socket.socket(fileno=int(sys.argv[1])), Imports([s.split(",") for s in sys.argv[2:]])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    given = _next(control, imports)
    if given is None:
        return
    gc.enable()
    request = _begin(given)
    sys.argv = ["kfp.dsl.executor_main", *request.arguments]
    from kfp.dsl.executor_main import executor_main

    executor_main()
    atexit._run_exitfuncs()
    leave()


def _next(control: socket.socket, imports: Imports) -> Descriptors | None:
    """In the process of each task what it gets; none in the server when nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ahead = 0
    while True:
        while not _is_asked(control) and imports.one(ahead):
            pass
        message, descriptors, *_ = socket.recv_fds(control, len(Ask._fields), len(Descriptors._fields))
        if not descriptors:
            return None
        given, (needed, ahead) = Descriptors(*descriptors), Ask(*message)
        while imports.one(needed):
            pass
        gc.freeze()
        if not os.fork():
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_in_parent(given)
            return given
        for descriptor in given:
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


def _begin(given: Descriptors) -> Request:
    """Read what to do, and give this process the output and the environment of its task."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(given.connection, encoding="utf-8") as asked:
        request = Request.model_validate_json(asked.read())
    os.dup2(given.output, 1)
    os.dup2(given.output, 2)
    os.close(given.output)
    os.environ.clear()
    os.environ.update(request.environment)
    tempfile.tempdir = None
    return request


if __name__ == "__main__":
    main()
