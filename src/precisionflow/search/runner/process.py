"""Process of a trial: its output line by line, its exit, and how it is ended early."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from precisionflow.search.runner import parent_death

GRACE_SECONDS = 10.0
"""Time between asking a trial to end and killing it."""
LONGEST_CAUSE = 200
"""Characters of a process's last line that its cause quotes."""


@dataclass(frozen=True)
class Exit:
    """Exit of a process."""

    code: int
    """Exit code; negative: the signal that killed the process."""
    seconds: float
    """Wall time from start to exit."""
    last: str
    """Last line that the process wrote."""

    @property
    def cause(self) -> str:
        """Why the process failed, in a few words."""
        how = f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"
        said = self.last if len(self.last) <= LONGEST_CAUSE else f"{self.last[:LONGEST_CAUSE]}..."
        return f"{how}: {said}" if said else how


class TrialProcess:
    """A command in a process group of its own, which is killed when the search dies.

    Output and errors are appended to the file `log`. Linux kills the process when the thread that started it ends, so
    the thread that starts it waits for it.
    """

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self._log, self._start, self._over = log, time.perf_counter(), threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", parent_death.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | dict(environment),
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def follow(self, read: Callable[[str], None]) -> Exit:
        """Wait for the exit; `read` gets every line when it is written. Where it raises, the group is killed too."""
        assert self._process.stdout is not None
        last = ""
        try:
            with self._process.stdout as lines, self._log.open("a", encoding="utf-8") as log:
                for line in lines:
                    log.write(line)
                    log.flush()
                    last = line.strip() or last
                    read(line)
            code = self._process.wait()
        finally:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._over.set()
        return Exit(code, time.perf_counter() - self._start, last)

    def end(self) -> None:
        """Ask the process group to end, and kill it after GRACE_SECONDS; returns at once."""
        self._signal(signal.SIGTERM)
        threading.Thread(target=self._kill_later, daemon=True).start()

    def _kill_later(self) -> None:
        if not self._over.wait(GRACE_SECONDS):
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group, whose number is the leader's; some of it may outlive the leader."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
