"""Training on several nodes: a TrainJob made or found again, followed, its models taken from the workspace."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.owner import workflow_owner
from precisionflow.cluster.access.patience import PATIENCE
from precisionflow.cluster.access.signals import undone_when_stopped
from precisionflow.cluster.trainjob.api import TrainJobs, finished
from precisionflow.cluster.trainjob.spec import Launch, training_key
from precisionflow.cluster.trainjob.watch import Replaced, Watch
from precisionflow.config import Experiment
from precisionflow.console import say, title
from precisionflow.records.files import write_text
from precisionflow.results.cells import all_trained
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.results.locks import turn
from precisionflow.results.stage import finished_key


def train_on_nodes(
    experiment: Experiment,
    *,
    data: Path,
    out: Path,
    image: str,
    run: str,
    connection: Connection | None = None,
    workspace: Path = Path(names.WORKSPACE),
    patience: float = PATIENCE,
    report: Callable[[str], None] = print,
) -> None:
    """Train every (seed, split) of a resolved experiment as a TrainJob; `out` gets one folder for each.

    The folder of `training_key` in the workspace holds the data, the checkpoints and the weights: a second call goes
    on where the first stopped, with the TrainJob that still runs or with a new one, and trains no finished cell again.
    `patience`: seconds that pods may lack what they need. `report` gets the lines that the first rank prints.
    ClusterError when the cluster refuses or lacks something, ValueError when the experiment does; the TrainJob is
    removed then, as it is when this process is asked to end.
    """
    if not workspace.is_dir():
        raise ClusterError(
            f"{workspace}: the workspace is not mounted; mount PersistentVolumeClaim {experiment.cluster.workspace}"
        )
    jobs = TrainJobs(connection or Connection())
    key, owner = training_key(experiment, data=data), workflow_owner(jobs.connection)
    launch = Launch(experiment, image=image, key=key, run=run, owner=owner)
    place = workspace / launch.key
    runtime = jobs.runtime(launch.runtime)
    _tidy(jobs, workspace, keep=launch.key, seconds=experiment.cluster.keep_seconds)
    if not all_trained(experiment, data=data, out=place / "model"):
        _lay_out(experiment, data=data, place=place)
        with undone_when_stopped(lambda: jobs.delete(launch.name)):
            _train(jobs, launch, runtime=runtime, place=place, patience=patience, report=report)
        if not all_trained(experiment, data=data, out=place / "model"):
            raise ClusterError(
                f"TrainJob {launch.name} ended well, but {place} lacks its models; "
                f"PersistentVolumeClaim {experiment.cluster.workspace} must be one that every node can write"
            )
    _collect(experiment, place / "model", out)


def _train(
    jobs: TrainJobs,
    launch: Launch,
    *,
    runtime: Object,
    place: Path,
    patience: float,
    report: Callable[[str], None],
) -> None:
    """Follow the TrainJob until it is complete; one that another run made and removed is made again."""
    while True:
        with turn(place):
            job = _found_or_made(jobs, launch, runtime=runtime)
        watch = Watch(jobs, launch, runtime=runtime, job=job, patience=patience, report=report)
        try:
            watch.until_complete()
        except Replaced:
            continue
        except (ClusterError, ValueError):
            if watch.judged:
                jobs.delete(launch.name)
            raise
        return


def _found_or_made(jobs: TrainJobs, launch: Launch, *, runtime: Object) -> Object:
    job = jobs.get(launch.name)
    if job and not finished(job) and "deletionTimestamp" not in job["metadata"]:
        say(f"train {title(launch.experiment)}: TrainJob {launch.name} is there already, following it")
        return job
    jobs.remove(launch.name)
    job = jobs.make(launch, found=runtime)
    say(
        f"train {title(launch.experiment)}: TrainJob {launch.name} on {launch.nodes} nodes, "
        f"{launch.ranks} ranks"
    )
    return job


def _lay_out(experiment: Experiment, *, data: Path, place: Path) -> None:
    """Put the variant's data and its resolved configuration into the workspace."""
    with turn(place):
        for split in experiment.splits:
            _copied(data_folder(data, experiment, split), data_folder(place / "data", experiment, split))
        write_text(experiment.model_dump_json(), place / "experiment.json")


def _collect(experiment: Experiment, model: Path, out: Path) -> None:
    """Copy the cells' folders to the task's output."""
    for split in experiment.splits:
        for seed in experiment.seeds:
            _copied(cell_folder(model, seed, split), cell_folder(out, seed, split))


def _copied(source: Path, target: Path) -> None:
    """Make `target` the finished stage that `source` is: whole or absent."""
    if finished_key(target) == finished_key(source):
        return
    partial = target.with_name(f".{target.name}.partial")
    for old in (partial, target):
        shutil.rmtree(old, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, partial, copy_function=shutil.copyfile)
    partial.rename(target)


def _tidy(jobs: TrainJobs, workspace: Path, *, keep: str, seconds: float) -> None:
    """Remove what finished longer ago than `seconds`: TrainJobs of any run, and their folders where they are complete.

    The folders of others stay: their checkpoints are what a next run goes on from.
    """
    for job in jobs.finished_before(time.time() - seconds):
        key = job["metadata"]["labels"].get(names.KEY, "")
        if key == keep:
            continue
        jobs.delete(job["metadata"]["name"])
        if (finished(job) or {}).get("type") == "Complete" and key and "/" not in key:
            shutil.rmtree(workspace / key, ignore_errors=True)
