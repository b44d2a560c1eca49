"""Search on Katib: an experiment made or found again, followed, its best settings brought back."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.patience import PATIENCE
from precisionflow.cluster.access.signals import undone_when_stopped
from precisionflow.cluster.katib.api import KatibExperiments, condition
from precisionflow.cluster.katib.spec import katib_experiment
from precisionflow.cluster.katib.trials import trial_of
from precisionflow.cluster.katib.watch import Watch
from precisionflow.records.search import Best, Trial
from precisionflow.search.conclude import conclude
from precisionflow.search.study import Study


def run_on_katib(
    study: Study,
    *,
    connection: Connection,
    images: Mapping[str, str],
    out: Path,
    say: Callable[[str], None],
    run: str = "",
    owner: Object | None = None,
    patience: float = PATIENCE,
) -> Best:
    """Run a study to its end as the Katib experiment that it is; `out` gets what a search on one machine leaves.

    An experiment of the same content is followed, or taken as it is when it has succeeded. `say` gets a line for every
    trial that ends. ClusterError with the first cause where the experiment fails; one that this call made and that gets
    nothing to run on in `patience` seconds is removed. A client that is killed leaves it running; the task of a
    pipeline that is told to end removes it. `run` is the id of that pipeline's run, and with `owner` it goes too.
    """
    experiments = KatibExperiments(connection)
    sent = katib_experiment(study, namespace=connection.namespace, images=images, run=run, owner=owner)
    experiment, made = _found_or_made(experiments, sent, say=say)
    told = dict[str, Trial]()

    def report(found: Object) -> None:
        trial = trial_of(found, study, end=len(told), cause=watch.cause(found))
        told[trial.name] = trial
        say(f"search {_told(trial, study.spec.objective.metric)}")

    watch = Watch(experiments, experiment, patience=patience, report=report, say=say)
    # a client outside a pipeline leaves it running, to be followed again
    removed = (
        undone_when_stopped(lambda: experiments.delete(study.name)) if inside() else contextlib.nullcontext()
    )
    with removed:
        try:
            look = watch.until_finished()
        except ClusterError:
            if made and watch.hopeless:
                experiments.delete(study.name)
            raise
    ended = [
        replace(told[name], number=number)
        for number, name in enumerate(found["metadata"]["name"] for found in look.trials)
        if name in told
    ]
    return conclude(study, ended, out=out, store=None if inside() else out)


def _told(trial: Trial, metric: str) -> str:
    value = trial.cause if trial.state == "failed" else f"{metric} {trial.value:.6g}"
    return f"{trial.name} {trial.state}: {value} ({', '.join(trial.settings)})"


def _found_or_made(
    experiments: KatibExperiments, sent: Object, *, say: Callable[[str], None]
) -> tuple[Object, bool]:
    """The experiment, and whether this call made it."""
    name, key = sent["metadata"]["name"], sent["metadata"]["labels"][names.KEY]
    there = experiments.get(name)
    if there and there["metadata"].get("labels", {}).get(names.KEY) != key:
        raise ClusterError(
            f"namespace {experiments.namespace} has another Katib experiment {name}; choose another metadata.name, or "
            f"say `kubectl -n {experiments.namespace} delete experiment {name}`"
        )
    if there and "deletionTimestamp" not in there["metadata"] and not condition(there, "Failed"):
        state = "has finished" if condition(there, "Succeeded") else "is there already, following it"
        say(f"Katib experiment {name} {state}")
        return there, False
    if there:
        experiments.remove(name)
    made = experiments.make(sent)
    say(f"Katib experiment {name} in namespace {experiments.namespace}")
    return made, True
