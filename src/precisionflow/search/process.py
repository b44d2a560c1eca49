"""One trial as a process: its output read line by line, its end or how it is ended."""

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

from precisionflow.search import leash

GRACE_SECONDS = 10.0
"""Between asking a trial to end and killing it."""


@dataclass(frozen=True)
class Ended:
    """How a trial's process ended."""

    code: int
    """Negative: the signal that killed it."""
    seconds: float
    last: str
    """The last line that it wrote."""

    @property
    def cause(self) -> str:
        """Of a bad end, in a few words."""
        how = f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"
        return f"{how}: {self.last}" if self.last else how


class TrialProcess:
    """A command in a process group of its own, which dies with the search.

    What it writes, errors too, is added to the file `log`; `read` gets every line. Start it in the thread that waits
    for it: Linux ends it with that thread.
    """

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self._log, self._start, self._over = log, time.perf_counter(), threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | dict(environment),
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def follow(self, read: Callable[[str], None]) -> Ended:
        """Read until the process ends."""
        assert self._process.stdout is not None
        last = ""
        with self._process.stdout as lines, self._log.open("a", encoding="utf-8") as log:
            for line in lines:
                log.write(line)
                log.flush()
                last = line.strip() or last
                read(line)
        code = self._process.wait()
        self._signal(signal.SIGKILL)
        self._over.set()
        return Ended(code, time.perf_counter() - self._start, last)

    def end(self) -> None:
        """Ask the process group to end, kill it after the grace; returns at once."""
        self._signal(signal.SIGTERM)
        threading.Thread(target=self._kill_later, daemon=True).start()

    def _kill_later(self) -> None:
        if not self._over.wait(GRACE_SECONDS):
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group, whose number is the leader's; some of it may outlive the leader."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
