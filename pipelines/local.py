"""Running a pipeline on this machine, its log in a file and our own lines on the screen."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from precisionflow.pipelines.argument_size import refuse_too_long
from precisionflow.pipelines.relay import relayed
from precisionflow.pipelines.task_client import Task, serving

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


_STEPS = {
    "prepare": ("kfp.dsl.executor_main", "precisionflow.entrypoints", "precisionflow.data.prepare", "pandas"),
    "train": ("precisionflow.training.train", "torch._dynamo"),
    "evaluate": ("precisionflow.evaluation.evaluate",),
    "aggregate": ("precisionflow.ablation.aggregate",),
    "report": ("precisionflow.report.page",),
    "register": ("precisionflow.tracking.track", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"),
}
"""Verb -> modules that its tasks import. pyarrow imports pandas where it makes its first array, torch its compiler at
an optimiser's first step."""
_OF_CELLS = ("train", "evaluate")
"""Verbs that need their modules only where a cell is open: torch is among them."""


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
    with _begun(folder, screen=screen, open_cells=still, trust_code=trust_code) as execute:
        from precisionflow.pipelines.ablation import ablation

        execute(ablation, experiments=wholes, groups=groups)


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
    given = {"study": as_argument(study.content), "experiment": experiment_argument(experiment)}
    with _begun(folder, screen=screen) as execute:
        from precisionflow.pipelines.search_then_train import search_then_train

        execute(search_then_train, **given, groups=_groups([experiment]))


@contextlib.contextmanager
def _begun(
    folder: Path, *, screen: TextIO, open_cells: bool = True, trust_code: bool = False
) -> Iterator[Callable[..., None]]:
    """A server of tasks; yields what executes a pipeline with them, given its arguments.

    kfp is imported inside the block alone, while the server imports what tasks need.
    """
    there = LocalResults(Results(folder.resolve()), trusts_code=trust_code)
    at_once = tasks_at_once()
    steps = {verb: modules for verb, modules in _STEPS.items() if open_cells or verb not in _OF_CELLS}

    def lost(task: Task, cause: str) -> bool:
        """Make the cell failed that a killed task had in work; whether there is one."""
        found = _failed_in_work(task, cause, there)
        if found:
            relay.error = None
        return found

    def execute(pipeline: Callable[..., object], **arguments: object) -> None:
        from precisionflow.pipelines import kfp_local

        given = arguments | {"destination": str(there)}
        scratch = there.results.folder / ".kfp"
        try:
            kfp_local.execute(pipeline, given, server=server, lost=lost, scratch=scratch, at_once=at_once)
        except RuntimeError as failure:
            cause = relay.error or " ".join(_COLOUR.sub("", str(failure)).split())
            raise ValueError(f"{cause} (log: {folder / LOG})") from None

    with (
        (folder / LOG).open("a", encoding="utf-8") as log,
        relayed(log, screen) as relay,
        _threads_of(at_once),
        serving(steps, log=log) as server,
    ):
        yield execute


_COLOUR = re.compile(r"\x1b\[\d*m")


@contextlib.contextmanager
def _threads_of(at_once: int) -> Iterator[None]:
    """Inside the block as many threads for each of the tasks at once as there are cores for it, unless a user says."""
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = threads or str(max(1, core_count() // at_once))
    try:
        yield
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]


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
