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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TextIO

from precisionflow.pipelines import task_server
from precisionflow.pipelines.task_server import Ask, Request

from precisionflow.serving.connection import UNASKED

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


Steps = Mapping[str, Sequence[str]]
"""Verb -> modules that its tasks need beside those of the verbs before."""


class TaskServer:
    """The process that forks those of tasks; a new one where it was killed.

    While tasks of a verb run, it imports what those of the next one need.
    """

    stopped = False
    """Whether the run is at its end before its last task."""

    def __init__(self, steps: Steps, *, log: TextIO) -> None:
        self._steps, self._log = steps, log
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            steps = [",".join(modules) for modules in self._steps.values()]
            words = [sys.executable, "-P", "-m", task_server.__name__, str(theirs.fileno()), *steps]
            self._process = subprocess.Popen(
                words,
                pass_fds=[theirs.fileno()],
                env=UNASKED | os.environ | RUNTIME,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )

    def run(self, verb: str, request: Request) -> int:
        """Run a task and print what it prints; its exit code, below zero that of a signal."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        with ours, open(read, encoding="utf-8", errors="replace") as output:
            with theirs, open(write, "wb") as printed:
                self._ask(verb, [theirs.fileno(), printed.fileno()])
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

    def _ask(self, verb: str, descriptors: Sequence[int]) -> None:
        """Have a process forked, by a new server where the one before was killed."""
        step = list(self._steps).index(verb) if verb in self._steps else 0
        message = bytes(Ask(needed=step, ahead=step + 1))
        with self._lock:
            try:
                socket.send_fds(self._control, [message], descriptors)
            except BrokenPipeError:
                self.close()
                self._start()
                socket.send_fds(self._control, [message], descriptors)
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
def serving(steps: Steps, *, log: TextIO) -> Iterator[TaskServer]:
    """A server of tasks; an interrupt ends those that run."""
    with contextlib.closing(TaskServer(steps, log=log)) as server, _stopped_by_interrupt(server):
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
