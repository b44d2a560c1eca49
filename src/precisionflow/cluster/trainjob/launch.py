"""Training on several nodes: a TrainJob made or found again, followed, its models taken from the workspace."""

import time
from collections.abc import Callable
from pathlib import Path

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.owner import own_run, workflow_owner
from precisionflow.cluster.access.patience import PATIENCE
from precisionflow.cluster.access.signals import undone_when_stopped
from precisionflow.cluster.trainjob.api import TrainJobs, finished
from precisionflow.cluster.trainjob.spec import Launch
from precisionflow.cluster.trainjob.watch import Replaced, Watch
from precisionflow.cluster.workspace.trainings import Training, training_key
from precisionflow.config import Experiment
from precisionflow.console import say, title
from precisionflow.records.files import write_text
from precisionflow.results.cells import all_trained
from precisionflow.results.copies import copy_stage
from precisionflow.results.layout import data_folder
from precisionflow.results.locks import turn


def train_on_nodes(
    experiment: Experiment,
    *,
    data: Path,
    out: Path,
    image: str,
    run: str | None = None,
    connection: Connection | None = None,
    workspace: Path = Path(names.WORKSPACE),
    patience: float = PATIENCE,
    report: Callable[[str], None] = print,
) -> None:
    """Train every (seed, split) of a resolved experiment as a TrainJob; `out` gets one folder for each.

    The training's folder in the workspace holds the data, the checkpoints and the weights: a second call goes on where
    the first stopped, with the TrainJob that still runs or with a new one, and trains no finished cell again.
    `run` is the id of a pipeline's run; none: that of this pod. `patience`: seconds that pods may lack what they need.
    `report` gets the lines that the first rank prints. ClusterError when the cluster refuses or lacks something,
    ValueError when the experiment does; the TrainJob is removed then, as it is when this process is asked to end.
    """
    if not workspace.is_dir():
        raise ClusterError(
            f"{workspace}: the workspace is not mounted; mount PersistentVolumeClaim {experiment.cluster.workspace}"
        )
    jobs = TrainJobs(connection or Connection())
    key, owner = training_key(experiment, data=data), workflow_owner(jobs.connection)
    run = own_run(jobs.connection) if run is None else run
    launch = Launch(experiment, image=image, key=key, run=run, owner=owner)
    training = Training(experiment, data, workspace)
    runtime = jobs.runtime(launch.runtime)
    _tidy(jobs, keep=launch.name, seconds=experiment.cluster.keep_seconds)
    training.find()
    if not all_trained(experiment, data=data, out=training.model):
        _lay_out(training)
        with undone_when_stopped(lambda: jobs.delete(launch.name)):
            _train(jobs, launch, runtime=runtime, place=training.place, patience=patience, report=report)
        training.find()  # of two launchers that follow it, the first has handed over
        if not all_trained(experiment, data=data, out=training.model):
            raise ClusterError(
                f"TrainJob {launch.name} ended well, but {training.place} lacks its models; "
                f"PersistentVolumeClaim {experiment.cluster.workspace} must be one that every node can write"
            )
    training.hand_over(out)


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


def _lay_out(training: Training) -> None:
    """Put the variant's data and its resolved configuration into the training's folder."""
    experiment, place = training.experiment, training.place
    place.mkdir(parents=True, exist_ok=True)
    with turn(place):
        for split in experiment.splits:
            source = data_folder(training.data, experiment, split)
            copy_stage(source, data_folder(place / "data", experiment, split))
        write_text(experiment.model_dump_json(), place / "experiment.json")


def _tidy(jobs: TrainJobs, *, keep: str, seconds: float) -> None:
    """Remove the TrainJobs of any run that finished longer ago than `seconds`; their folders stay, see `gc`."""
    for job in jobs.finished_before(time.time() - seconds):
        name = job["metadata"]["name"]
        if name != keep:
            jobs.delete(name)
