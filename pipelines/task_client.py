"""Server of task processes as a run sees it: started, asked for one task after another, stopped by an interrupt.

Nothing here imports kfp: the server imports what tasks need while the run imports kfp.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TextIO

from precisionflow.pipelines import task_server
from precisionflow.pipelines.task_server import Request

RUNTIME = {"_KFP_RUNTIME": "true"}
"""Environment in which kfp imports no more than a task needs: neither its compiler nor its client."""


class Task(NamedTuple):
    """What a task was asked for."""

    verb: str
    parameters: dict[str, Any]
    inputs: dict[str, Path]
    """Artifacts, of lists of them the first."""


Lost = Callable[[Task, str], bool]
"""Called with a task that was killed, and by what: whether what it had in work has become a failed cell."""


class TaskServer:
    """The process that forks those of tasks; a new one where it was killed."""

    stopped = False
    """Whether the run is at its end before its last task."""

    def __init__(self, modules: Sequence[str], *, log: TextIO) -> None:
        self._modules, self._log = modules, log
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-P", "-m", task_server.__name__, str(theirs.fileno()), *self._modules]
            self._process = subprocess.Popen(
                words,
                pass_fds=[theirs.fileno()],
                env=os.environ | RUNTIME,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )

    def run(self, request: Request) -> int:
        """Run a task and print what it prints; its exit code, below zero that of a signal."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        with ours, open(read, encoding="utf-8", errors="replace") as output:
            with theirs, open(write, "wb") as printed:
                self._ask([theirs.fileno(), printed.fileno()])
            with contextlib.suppress(OSError):
                ours.sendall(request.model_dump_json().encode())
                ours.shutdown(socket.SHUT_WR)
            for line in output:
                print(line, end="")
            print("\n")
            with contextlib.suppress(OSError):
                if code := ours.recv(16):
                    return int(code)
            return self._process.poll() or -signal.SIGKILL

    def _ask(self, descriptors: Sequence[int]) -> None:
        """Have a process forked, by a new server where the one before was killed."""
        with self._lock:
            try:
                socket.send_fds(self._control, [b"."], descriptors)
            except BrokenPipeError:
                self.close()
                self._start()
                socket.send_fds(self._control, [b"."], descriptors)
            if self.stopped:
                self._process.kill()

    def stop(self) -> None:
        """End every task, and none begins after it."""
        self.stopped = True
        self._process.kill()

    def close(self) -> None:
        """End the process."""
        self._control.close()
        self._process.wait()


@contextlib.contextmanager
def serving(modules: Sequence[str], *, log: TextIO) -> Iterator[TaskServer]:
    """A server that forks tasks from a process which has imported these modules; an interrupt ends its tasks."""
    with contextlib.closing(TaskServer(modules, log=log)) as server, _stopped_by_interrupt(server):
        yield server


@contextlib.contextmanager
def _stopped_by_interrupt(server: TaskServer) -> Iterator[None]:
    """Inside the block an interrupt ends tasks before it is raised.

    kfp.local waits for all iterations of a loop, those too that have not begun.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        server.stop()
        before(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
