"""A search on a cluster: a Katib experiment made or found again, followed, its best settings brought back."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.signals import undone_when_stopped
from precisionflow.cluster.katib.api import UNAVAILABLE, KatibExperiments, Object, condition, resource
from precisionflow.cluster.katib.watch import PATIENCE, Watch, ending
from precisionflow.search.conclude import Ended, conclude
from precisionflow.search.plan import Plan, plan_of
from precisionflow.search.space import typed
from precisionflow.search.trials import NAN, Best, State, Trial, searched_settings

GONE_SECONDS = 180.0
"""Longest time that a removed experiment's pods take to end."""


def run_on_katib(
    study: Object,
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
    sent = resource(study, namespace=connection.namespace, images=images, run=run, owner=owner)
    experiment, made = _found_or_made(experiments, sent, say=say)
    plan, told = plan_of(study), dict[str, Trial]()

    def report(found: Object) -> None:
        trial = told[found["metadata"]["name"]] = _trial(found, plan, cause=watch.cause(found))
        say(f"search {_told(trial, plan.metric)}")

    watch = Watch(experiments, experiment, patience=patience, report=report, say=say)
    # a client outside a pipeline leaves it running, to be followed again
    removed = (
        undone_when_stopped(lambda: experiments.delete(plan.name)) if inside() else contextlib.nullcontext()
    )
    with removed:
        try:
            look = watch.until_finished()
        except ClusterError:
            if made and watch.hopeless:
                experiments.delete(plan.name)
            raise
    ends = {name: position for position, name in enumerate(told)}
    ended = [
        Ended(told[name], number, ends[name])
        for number, name in enumerate(found["metadata"]["name"] for found in look.trials)
        if name in told
    ]
    return conclude(plan, ended, out=out, store=None if inside() else out)


def _trial(found: Object, plan: Plan, *, cause: str) -> Trial:
    """What Katib says about a finished trial."""
    end, status = ending(found), found["status"]
    metrics = {
        metric["name"]: float(value)
        for metric in (status.get("observation") or {}).get("metrics") or ()
        if (value := _extracted(metric, plan.strategies[metric["name"]])) != UNAVAILABLE
    }
    state = _STATES.get(end or "", "failed")
    assignments = {given["name"]: given["value"] for given in found["spec"]["parameterAssignments"]}
    return Trial(
        name=found["metadata"]["name"],
        state=state,
        settings=searched_settings(plan.template, assignments),
        parameters={p.name: typed(assignments[p.name], p) for p in plan.parameters},
        metrics=metrics,
        value=metrics.get(plan.metric, NAN) if state != "failed" else NAN,
        seconds=_seconds(status),
        cause=cause if state == "failed" else "",
    )


_STATES: dict[str, State] = {"Succeeded": "succeeded", "EarlyStopped": "stopped"}
"""Katib's conditions of a trial that counts."""


def _extracted(metric: Mapping[str, str], strategy: str) -> str:
    """A metric's lowest, highest or latest value, as the objective asks; the latest of values that are no numbers."""
    value = metric[strategy]
    return metric["latest"] if value == UNAVAILABLE else value


def _seconds(status: Object) -> float:
    from datetime import datetime

    if not (status.get("startTime") and status.get("completionTime")):
        return NAN
    start, end = (datetime.fromisoformat(status[name]) for name in ("startTime", "completionTime"))
    return (end - start).total_seconds()


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
        _remove(experiments, name)
    made = experiments.make(sent)
    say(f"Katib experiment {name} in namespace {experiments.namespace}")
    return made, True


def _remove(experiments: KatibExperiments, name: str) -> None:
    """Remove an experiment and wait until it is gone."""
    experiments.delete(name)
    end = time.monotonic() + GONE_SECONDS
    while experiments.get(name):
        if time.monotonic() > end:
            raise ClusterError(
                f"Katib experiment {name} does not go away; look at `kubectl describe experiment {name}`"
            )
        time.sleep(0.5)
