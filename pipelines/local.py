"""Running a pipeline on this machine, its log in a file and our own lines on the screen."""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from precisionflow.pipelines.argument_size import refuse_too_long
from precisionflow.pipelines.relay import relayed
from precisionflow.pipelines.task_client import EVERY_TASK, Ahead, Step, Steps, Task, TaskServer

from precisionflow import stages
from precisionflow.ablation.groups import group_of, groups_of, read_design
from precisionflow.arguments import as_argument, experiment_argument
from precisionflow.config import Experiment
from precisionflow.config.engine import BatchedEngine
from precisionflow.config.external import External
from precisionflow.destination import LocalResults
from precisionflow.results.layout import Results
from precisionflow.results.progress import Progress
from precisionflow.search.study import Study

LOG = "pipeline.log"
GROUPS_A_TASK = 2
"""Most groups of variants for each task at once: each of its tasks starts a process, which takes longer than a small
variant's work."""


def _steps(open_variants: Sequence[Experiment], groups: int) -> Steps:
    """The tasks of each verb and the modules that these import: torch only where a variant has an open cell.

    Its optimisers import its compiler; stacked networks and estimators of scikit-learn have none of them.
    """
    compiler = any(
        not isinstance(of.engine, BatchedEngine) and not isinstance(of.model, External)
        for of in open_variants
    )
    train = ("torch", "precisionflow.training.train", *(("torch._dynamo",) if compiler else ()))
    evaluate = ("precisionflow.evaluation.evaluate",)
    return {
        "prepare": Step(EVERY_TASK),
        "train": Step(train if open_variants else (), groups),
        "evaluate": Step(evaluate if open_variants else (), groups),
        "aggregate": Step(("precisionflow.ablation.aggregate",)),
        "report": Step(("precisionflow.report.page",)),
        "register": Step(()),
    }


_OF_MLFLOW = (
    "precisionflow.tracking.track",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
)


def _ahead(folder: Path) -> list[Ahead]:
    """MLflow is imported while the last cells are evaluated, and has the cells while the report is written: a core has
    nothing to do then.
    """
    return [
        *(Ahead("register", "evaluate", "importlib:import_module", [module]) for module in _OF_MLFLOW),
        Ahead("register", "report", "precisionflow.tracking.track:track_cells_ahead", [str(folder)]),
    ]


def run_locally(
    experiments: Sequence[Experiment],
    *,
    folder: Path,
    server: TaskServer,
    screen: TextIO,
    trust_code: bool = False,
) -> None:
    """Execute the ablation pipeline with results in `folder`; ValueError with the failed task's line otherwise.

    With `trust_code`, finished results of other code are kept.
    """
    wholes = [experiment_argument(experiment) for experiment in experiments]
    refuse_too_long(wholes)
    progress, variants = Progress(Results(folder)), stages.expand(experiments)
    still = [of for of in variants if any(cell.seconds is None for cell in progress.of(of))]
    groups = _groups(variants, server)
    steps = _steps(still, len(groups))
    with _begun(folder, steps, server=server, screen=screen, trust_code=trust_code) as execute:
        from precisionflow.pipelines.ablation import ablation

        execute(ablation, experiments=wholes, groups=groups)


def _groups(variants: Sequence[Experiment], server: TaskServer) -> list[str]:
    return [str(group) for group in groups_of(variants, most=GROUPS_A_TASK * server.at_once)]


def search_and_train_locally(
    study: Study, experiment: Experiment, *, folder: Path, server: TaskServer, screen: TextIO
) -> None:
    """Execute the pipeline that searches and then trains; ValueError with the failed task's line otherwise."""
    variants = stages.expand([experiment])
    groups = _groups(variants, server)
    given = {"study": as_argument(study.content), "experiment": experiment_argument(experiment)}
    with _begun(folder, _steps(variants, len(groups)), server=server, screen=screen) as execute:
        from precisionflow.pipelines.search_then_train import search_then_train

        execute(search_then_train, **given, groups=groups)


@contextlib.contextmanager
def _begun(
    folder: Path, steps: Steps, *, server: TaskServer, screen: TextIO, trust_code: bool = False
) -> Iterator[Callable[..., None]]:
    """Yields what executes a pipeline with the server's tasks, given its arguments.

    kfp is imported inside the block alone, while the server imports what tasks need.
    """
    there = LocalResults(Results(folder.resolve()), trusts_code=trust_code)

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
            kfp_local.execute(pipeline, given, server=server, lost=lost, scratch=scratch)
        except RuntimeError as failure:
            cause = relay.error or " ".join(_COLOUR.sub("", str(failure)).split())
            raise ValueError(f"{cause} (log: {folder / LOG})") from None

    with (
        (folder / LOG).open("a", encoding="utf-8") as log,
        relayed(log, screen) as relay,
    ):
        server.begin(steps, log=log, ahead=_ahead(there.results.folder))
        yield execute


_COLOUR = re.compile(r"\x1b\[\d*m")


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
