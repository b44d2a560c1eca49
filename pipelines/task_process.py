"""Task of a pipeline under kfp.local: a process of this Python that imports nothing from the current folder.

What a task that is killed had in work becomes a failed cell, and the task goes on without it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NamedTuple, TextIO

from kfp.local import subprocess_task_handler
from kfp.local.status import Status
from kfp.local.subprocess_task_handler import SubprocessTaskHandler
from precisionflow.pipelines import task_server
from precisionflow.pipelines.task_server import Request

from precisionflow.console import ERROR
from precisionflow.records.failure import killed_by

TRIES = 3
"""Of a task that is killed again and again while it has no cell in work."""
_ENDS_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that mean the whole run."""
_PROGRAM = "python3 -m kfp.dsl.executor_main"
"""What a component's shell text starts."""


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


class TaskProcess(SubprocessTaskHandler):
    """kfp's handler, with a forked process in the place of a shell's.

    kfp's own puts the path of this Python, unquoted, wherever `python3` stands in a command: in the question of an
    experiment and in the path of a results folder too. Its tasks import a `numbers.py` of the current folder.
    """

    server: ClassVar[TaskServer]
    lost: ClassVar[Lost]
    temporary: ClassVar[str]
    """Folder of a run's temporary files, removed after it."""

    def run(self) -> Status:
        """Run the task to its end."""
        _, _, text, program, *arguments = self.full_command
        assert text.count(_PROGRAM) == 1, text
        with tempfile.NamedTemporaryFile("w", suffix=".py", dir=self.temporary, encoding="utf-8") as file:
            file.write(program)
            file.flush()
            environment = os.environ | self.env_vars | {"TMPDIR": self.temporary, "_KFP_RUNTIME": "true"}
            request = Request(
                arguments=["--component_module_path", file.name, *arguments], environment=environment
            )
            task, idle = _task(arguments), 0
            while self.server.stopped or (code := self.server.run(request)):
                if self.server.stopped or code > 0:
                    return Status.FAILURE
                cause = killed_by(-code)
                if -code in _ENDS_ALL:
                    print(f"{ERROR}{task.verb}: {cause}; the same command goes on")
                    return Status.FAILURE
                idle = 0 if type(self).lost(task, cause) else idle + 1
                if idle == TRIES:
                    print(f"{ERROR}{task.verb}: {cause}, {TRIES} times; the same command goes on")
                    return Status.FAILURE
        return Status.SUCCESS


def _task(arguments: Sequence[str]) -> Task:
    """The task in the arguments of KFP's executor."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    inputs = json.loads(given["--executor_input"]).get("inputs", {})
    artifacts = {name: of["artifacts"][0]["uri"] for name, of in inputs.get("artifacts", {}).items()}
    return Task(
        given["--function_to_execute"],
        inputs.get("parameterValues", {}),
        {name: Path(uri) for name, uri in artifacts.items()},
    )


@contextlib.contextmanager
def tasks_as_processes(modules: Sequence[str], *, log: TextIO, lost: Lost) -> Iterator[None]:
    """Have kfp.local run tasks as `TaskProcess`, each forked from a process that has imported these modules."""
    before = subprocess_task_handler.SubprocessTaskHandler
    with (
        tempfile.TemporaryDirectory(prefix="precisionflow-", ignore_cleanup_errors=True) as temporary,
        contextlib.closing(TaskServer(modules, log=log)) as server,
        _stopped_by_interrupt(server),
    ):
        of_run = {"temporary": temporary, "server": server, "lost": staticmethod(lost)}
        subprocess_task_handler.SubprocessTaskHandler = type("TaskProcess", (TaskProcess,), of_run)
        try:
            yield
        finally:
            subprocess_task_handler.SubprocessTaskHandler = before


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
