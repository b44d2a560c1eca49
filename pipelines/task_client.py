"""Server of task processes as a run sees it: started, asked for one task after another, stopped by an interrupt.

Nothing here imports more than a server's start needs: the server imports what tasks need while the run reads its
experiments and imports kfp.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TextIO

from precisionflow.pipelines import task_server
from precisionflow.pipelines.at_once import tasks_at_once, threads_of_each
from precisionflow.pipelines.task_server import NUMBER, Ask, Request

EVERY_TASK = (
    "kfp.dsl.executor_main",
    "precisionflow.entrypoints",
    "precisionflow.data.prepare",
    "pandas",
    "precisionflow.pipelines.computed_once",
)
"""Modules that the first task of every run imports. pyarrow imports pandas where it makes its first array."""
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


class Step(NamedTuple):
    """Tasks of a verb."""

    modules: Sequence[str]
    """What they need beside the modules of the verbs before."""
    tasks: int = 1


Steps = Mapping[str, Step]
"""Verb -> its tasks, in the order of a run."""


class Ahead(NamedTuple):
    """What the process of a verb's only task does before that task, from when the last task of another is asked for."""

    verb: str
    beside: str
    function: str
    """`module:function`."""
    arguments: Sequence[str]


class Begun(NamedTuple):
    """The process of a task."""

    connection: socket.socket
    output: TextIO

    def send(self, request: Request) -> None:
        """Ask for something, where the process is still there."""
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(request._asdict()).encode() + b"\n")


class TaskServer:
    """The process that forks those of tasks; a new one where it was killed.

    While tasks of a verb run, it imports what those of the next one need; before the first, what every task needs.
    """

    stopped = False
    """Whether the run is at its end before its last task."""

    def __init__(self) -> None:
        self.at_once = tasks_at_once()
        """Tasks that run at once."""
        self.environment = RUNTIME | threads_of_each(self.at_once)
        """Of each task, beside that of the run."""
        self._steps: Steps = {"": Step(EVERY_TASK)}
        self._ahead: Sequence[Ahead] = ()
        self._left = Counter[str]()
        """Tasks of a verb that are still to be asked for."""
        self._waiting: dict[str, Begun] = {}
        """Processes that do something ahead of their tasks, by verb."""
        self._log: TextIO | None = None
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", task_server.__name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._import_first()

    def begin(self, steps: Steps, *, log: TextIO, ahead: Sequence[Ahead] = ()) -> None:
        """Import what the tasks of a run need, do some of it `ahead`, and print to its log."""
        self._steps, self._ahead, self._log = steps, ahead, log
        self._left = Counter({verb: of.tasks for verb, of in steps.items()})
        with self._lock, contextlib.suppress(BrokenPipeError):  # the first task starts another
            self._import_first()

    def _import_first(self) -> None:
        """Have the modules of the first two steps imported: of the first task and of those after it."""
        modules = [module for of in list(self._steps.values())[:2] for module in of.modules]
        self._send(Ask([], modules), [self._log.fileno()] if self._log else [])

    def _send(self, ask: Ask, descriptors: Sequence[int]) -> None:
        message = json.dumps(ask._asdict()).encode()
        socket.send_fds(self._control, [len(message).to_bytes(NUMBER) + message], descriptors)

    def run(self, verb: str, request: Request) -> int:
        """Run a task and print what it prints; its exit code, below zero that of a signal."""
        begun = self._waiting.pop(verb, None) or self._begun(verb)
        with begun.connection as ours, begun.output as output:
            begun.send(request)
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_WR)
            self._do_ahead(verb, request.environment)
            for line in output:
                print(line, end="")
            print("\n")
            with contextlib.suppress(OSError):
                if code := ours.recv(16):
                    return int(code)
            return self._process.poll() or -signal.SIGKILL

    def _do_ahead(self, verb: str, environment: dict[str, str]) -> None:
        """Beside the last task of `verb`, in the environment of that task."""
        with self._lock:
            self._left[verb] -= 1
            last = self._left[verb] == 0
        for ahead in self._ahead if last else ():
            if ahead.beside == verb:
                if ahead.verb not in self._waiting:
                    self._waiting[ahead.verb] = self._begun(ahead.verb)
                self._waiting[ahead.verb].send(Request([*ahead.arguments], environment, ahead.function))

    def _begun(self, verb: str) -> Begun:
        """A process for a task."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        with theirs, open(write, "wb") as printed:
            self._ask(verb, [theirs.fileno(), printed.fileno()])
        return Begun(ours, open(read, encoding="utf-8", errors="replace"))

    def _ask(self, verb: str, descriptors: Sequence[int]) -> None:
        """Have a process forked, by a new server where the one before was killed."""
        step, modules = (
            list(self._steps).index(verb) if verb in self._steps else 0,
            [of.modules for of in self._steps.values()],
        )
        needed, ahead = (
            [m for of in part for m in of] for part in (modules[: step + 1], modules[: step + 2])
        )
        ask = Ask(needed, ahead[len(needed) :])
        with self._lock:
            try:
                self._send(ask, descriptors)
            except BrokenPipeError:
                self.close()
                self._start()
                self._send(ask, descriptors)
            if self.stopped:
                self._process.kill()

    def stop(self) -> None:
        """End every task, and none begins after it."""
        self.stopped = True
        self._process.kill()

    def close(self) -> None:
        """End the process, whatever it imports."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        for begun in self._waiting.values():
            begun.connection.close()
            begun.output.close()
        self._waiting.clear()


@contextlib.contextmanager
def serving() -> Iterator[TaskServer]:
    """A server of tasks; an interrupt ends those that run."""
    with contextlib.closing(TaskServer()) as server, _stopped_by_interrupt(server):
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
