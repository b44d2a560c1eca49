"""Running a pipeline on this machine under kfp.local, its log in a file and our own lines on the screen."""

import builtins
import contextlib
import io
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from kfp import local
from kfp.local.config import LocalExecutionConfig
from kfp.local.orchestrator import enhanced_dag_orchestrator
from precisionflow.pipelines.ablation import ablation
from precisionflow.pipelines.argument_size import refuse_too_long
from precisionflow.pipelines.search_then_train import search_then_train
from precisionflow.pipelines.task_process import Task, tasks_as_processes

from precisionflow import stages
from precisionflow.ablation.groups import group_of, groups_of, read_design
from precisionflow.arguments import as_argument, experiment_argument
from precisionflow.config import Experiment
from precisionflow.destination import LocalResults
from precisionflow.results.layout import Results
from precisionflow.results.machine import core_count, free_memory, gpus
from precisionflow.results.progress import Progress
from precisionflow.search.study import Study

LOG = "pipeline.log"
GROUPS_A_TASK = 2
"""Most groups of variants for each task at once: each of its tasks starts a process, which takes longer than a small
variant's work."""
FEWEST_AT_ONCE = 2
"""Tasks at once: as many on one core, and on GPUs, whose memory they share."""
MEMORY_OF_TASK = 1 << 30


_OF_EVERY_TASK = ("kfp.dsl.executor_main", "precisionflow.entrypoints", "precisionflow.ablation.aggregate")
_OF_CELLS = ("precisionflow.training.train", "precisionflow.evaluation.evaluate")
"""Modules that tasks import, and those that train and evaluate need only where a cell is open: torch is among them."""


def run_locally(
    experiments: Sequence[Experiment], *, folder: Path, screen: TextIO, trust_code: bool = False
) -> None:
    """Execute the ablation pipeline with results in `folder`; ValueError with the failed task's line otherwise.

    With `trust_code`, finished results of other code are kept.
    """
    wholes = [experiment_argument(experiment) for experiment in experiments]
    refuse_too_long(wholes)
    groups = _groups(experiments)
    progress, variants = Progress(Results(folder)), stages.expand(experiments)
    still = any(cell.seconds is None for variant in variants for cell in progress.of(variant))
    given: dict[str, Any] = {"experiments": wholes, "groups": groups}
    _execute(ablation, folder, screen=screen, open_cells=still, trust_code=trust_code, **given)


def tasks_at_once() -> int:
    """As many as there are cores, and memory for each; where there is a GPU two."""
    if any(gpus()):
        return FEWEST_AT_ONCE
    return max(FEWEST_AT_ONCE, min(core_count(), free_memory() // MEMORY_OF_TASK))


def _groups(experiments: Sequence[Experiment]) -> list[str]:
    return [
        str(group) for group in groups_of(stages.expand(experiments), most=GROUPS_A_TASK * tasks_at_once())
    ]


def search_and_train_locally(study: Study, experiment: Experiment, *, folder: Path, screen: TextIO) -> None:
    """Execute the pipeline that searches and then trains; ValueError with the failed task's line otherwise."""
    _execute(
        search_then_train,
        folder,
        screen=screen,
        study=as_argument(study.content),
        experiment=experiment_argument(experiment),
        groups=_groups([experiment]),
    )


def _execute(
    pipeline: Callable[..., object],
    folder: Path,
    *,
    screen: TextIO,
    open_cells: bool = True,
    trust_code: bool = False,
    **arguments: object,
) -> None:
    there = LocalResults(Results(folder.resolve()), trusts_code=trust_code)

    def lost(task: Task, cause: str) -> bool:
        """Make the cell failed that a killed task had in work; whether there is one."""
        found = _failed_in_work(task, cause, there)
        if found:
            relay.error = None
        return found

    modules = _OF_EVERY_TASK + (_OF_CELLS if open_cells else ())
    with (
        (folder / LOG).open("a", encoding="utf-8") as log,
        _relayed(log, screen) as relay,
        _subprocess_runner(there.results.folder / ".kfp", at_once=tasks_at_once()),
        tasks_as_processes(modules, log=log, lost=lost),
    ):
        try:
            pipeline(**arguments, destination=str(there))
        except RuntimeError as failure:
            cause = relay.error or " ".join(_COLOUR.sub("", str(failure)).split())
            raise ValueError(f"{cause} (log: {folder / LOG})") from None


def _failed_in_work(task: Task, cause: str, there: LocalResults) -> bool:
    match task.verb:
        case "train" | "evaluate" as verb:
            design = read_design(task.inputs["design"], group=group_of(task.parameters["group"]))
        case _:
            return False
    with there.code():
        return any(
            stages.fail_begun(
                variant,
                stage=verb,
                data=there.results.data,
                model=there.results.model(variant),
                evaluation=there.results.evaluation(variant),
                cause=cause,
            )
            for variant in design.variants
        )


_COLOUR = re.compile(r"\x1b\[\d*m")


@contextlib.contextmanager
def _subprocess_runner(scratch: Path, *, at_once: int) -> Iterator[None]:
    """kfp.local set up to run so many tasks at once as processes of this Python; afterwards as it was before."""
    before, threads = LocalExecutionConfig.instance, os.environ.get("OMP_NUM_THREADS")
    executor = enhanced_dag_orchestrator.ParallelExecutor

    class Executor(executor):  # type: ignore[misc, valid-type]
        """Runs `at_once` iterations of a loop, of which ours are not nested; kfp.local's own runs two of any loop."""

        def __init__(self, max_workers: int | None = None) -> None:
            super().__init__(max_workers)
            self.conservative_max = self.max_workers = at_once

        def execute_parallel_tasks(self, *given: Any, parallelism_limit: int = 0, **named: Any) -> Any:
            """The limit in the pipeline is that of a cluster."""
            del parallelism_limit
            return super().execute_parallel_tasks(*given, **named)

    enhanced_dag_orchestrator.ParallelExecutor = Executor
    os.environ["OMP_NUM_THREADS"] = threads or str(max(1, core_count() // at_once))
    try:
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(scratch),
            workspace_root=str(scratch / "workspace"),
            enable_caching=False,
        )
        yield
    finally:
        LocalExecutionConfig.instance = before
        enhanced_dag_orchestrator.ParallelExecutor = executor
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        shutil.rmtree(scratch, ignore_errors=True)


class _Relay(io.TextIOBase):
    """Writes everything to the log and lines of ours to the screen; remembers the first error."""

    MARK = re.compile(r"\s*precisionflow: (.*)")

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
        if ours := self.MARK.match(line):
            message = ours.group(1)
            if message.startswith("error: "):
                self.error = self.error or message.removeprefix("error: ")
            else:
                self.screen.write(message + "\n")
                self.screen.flush()


@contextlib.contextmanager
def _relayed(log: TextIO, screen: TextIO) -> Iterator[_Relay]:
    """Everything that is printed or logged goes through a relay.

    kfp replaces `print` and the root logger's handlers while a task runs; two tasks at once can leave theirs behind.
    """
    relay = _Relay(log, screen)
    root = logging.getLogger()
    handlers, level, plain_print = root.handlers[:], root.level, builtins.print
    try:
        with contextlib.redirect_stdout(relay), contextlib.redirect_stderr(relay):
            yield relay
    finally:
        builtins.print = plain_print
        root.handlers[:] = handlers
        root.setLevel(level)
