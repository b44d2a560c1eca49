"""Task of a pipeline under kfp.local: a process of this Python that imports nothing from the current folder.

What a task that is killed had in work becomes a failed cell, and the task goes on without it.
"""

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from kfp.local import subprocess_task_handler
from kfp.local.status import Status
from kfp.local.subprocess_task_handler import SubprocessTaskHandler
from precisionflow.pipelines.task_client import Lost, Task, TaskServer
from precisionflow.pipelines.task_server import Request

from precisionflow.console import ERROR
from precisionflow.records.failure import killed_by

TRIES = 3
"""Of a task that is killed again and again while it has no cell in work."""
_ENDS_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that mean the whole run."""
_PROGRAM = "python3 -m kfp.dsl.executor_main"
"""What a component's shell text starts."""


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
            given = {"TMPDIR": self.temporary} | self.server.environment
            environment = os.environ | self.env_vars | given
            request = Request(
                arguments=["--component_module_path", file.name, *arguments], environment=environment
            )
            task, idle = _task(arguments), 0
            while self.server.stopped or (code := self.server.run(task.verb, request)):
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
def tasks_as_processes(server: TaskServer, *, lost: Lost) -> Iterator[None]:
    """Have kfp.local run tasks as `TaskProcess`, each forked by this server."""
    before = subprocess_task_handler.SubprocessTaskHandler
    with tempfile.TemporaryDirectory(prefix="precisionflow-", ignore_cleanup_errors=True) as temporary:
        of_run = {"temporary": temporary, "server": server, "lost": staticmethod(lost)}
        subprocess_task_handler.SubprocessTaskHandler = type("TaskProcess", (TaskProcess,), of_run)
        try:
            yield
        finally:
            subprocess_task_handler.SubprocessTaskHandler = before
