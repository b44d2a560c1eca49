"""Task of a pipeline under kfp.local: a process of this Python that imports nothing from the current folder."""

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Iterator
from typing import ClassVar

from kfp.local import subprocess_task_handler
from kfp.local.status import Status
from kfp.local.subprocess_task_handler import SubprocessTaskHandler, run_local_subprocess

_PROGRAM = "python3 -m kfp.dsl.executor_main"
"""What a component's shell text starts."""


class TaskProcess(SubprocessTaskHandler):
    """kfp's handler, with this Python in the place of the program alone.

    kfp's own puts the path of this Python, unquoted, wherever `python3` stands in a command: in the question of an
    experiment and in the path of a results folder too. Its tasks import a `numbers.py` of the current folder.
    The command leaves the task's program in a folder that mktemp makes: TMPDIR is one of the run's own.
    """

    temporary: ClassVar[str]
    """Folder of a run's temporary files, removed after it."""

    def run(self) -> Status:
        """Run the task to its end."""
        shell, option, text, *arguments = self.full_command
        assert text.count(_PROGRAM) == 1, text
        own = f"{shlex.quote(sys.executable)} -P {_PROGRAM.partition(' ')[2]}"
        command = [shell, option, text.replace(_PROGRAM, own), *arguments]
        code = run_local_subprocess(full_command=command, env_vars=self.env_vars | {"TMPDIR": self.temporary})
        return Status.FAILURE if code else Status.SUCCESS


@contextlib.contextmanager
def tasks_as_processes() -> Iterator[None]:
    """Have kfp.local run tasks as `TaskProcess`."""
    before = subprocess_task_handler.SubprocessTaskHandler
    with tempfile.TemporaryDirectory(prefix="precisionflow-", ignore_cleanup_errors=True) as temporary:
        subprocess_task_handler.SubprocessTaskHandler = type(
            "TaskProcess", (TaskProcess,), {"temporary": temporary}
        )
        try:
            yield
        finally:
            subprocess_task_handler.SubprocessTaskHandler = before
