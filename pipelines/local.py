"""Running a pipeline on this machine under kfp.local, its log in a file and our own lines on the screen."""

import contextlib
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from kfp import local
from precisionflow.pipelines.ablation import ablation

from precisionflow.ablation.grid import expand
from precisionflow.config import Experiment

LOG = "pipeline.log"
TASKS_AT_ONCE = 2
"""What kfp.local runs in parallel, whatever a pipeline asks for."""


def run_locally(experiments: Sequence[Experiment], *, folder: Path, screen: TextIO) -> None:
    """Execute the ablation pipeline with results in `folder`; ValueError with the failed task's line otherwise."""
    variants = [
        variant.experiment.model_dump_json() for experiment in experiments for variant in expand(experiment)
    ]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // TASKS_AT_ONCE)))
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / ".kfp"),
        enable_caching=False,
    )
    with (folder / LOG).open("a", encoding="utf-8") as log, _relayed(log, screen) as relay:
        try:
            ablation(
                experiments=[experiment.model_dump_json() for experiment in experiments],
                variants=variants,
                folder=str(folder.resolve()),
            )
        except RuntimeError as failure:
            cause = relay.error or " ".join(str(failure).split())
            raise ValueError(f"{cause} (log: {folder / LOG})") from None


class _Relay(io.TextIOBase):
    """Writes everything to the log and lines of ours to the screen; remembers the first error."""

    MARK = re.compile(r"precisionflow: (.*)")

    def __init__(self, log: TextIO, screen: TextIO) -> None:
        self.log = log
        self.screen = screen
        self.error: str | None = None
        self.lock = threading.Lock()
        self.pending: dict[int, str] = {}

    def write(self, text: str) -> int:
        with self.lock:
            thread = threading.get_ident()
            *lines, self.pending[thread] = (self.pending.get(thread, "") + text).split("\n")
            for line in lines:
                self._line(line)
        return len(text)

    def _line(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()
        if ours := self.MARK.search(line):
            message = ours.group(1)
            if message.startswith("error: "):
                self.error = self.error or message.removeprefix("error: ")
            else:
                self.screen.write(message + "\n")
                self.screen.flush()


@contextlib.contextmanager
def _relayed(log: TextIO, screen: TextIO) -> Iterator[_Relay]:
    relay = _Relay(log, screen)
    with contextlib.redirect_stdout(relay):
        yield relay
