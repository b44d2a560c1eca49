"""Runs on Kubeflow Pipelines: found by id or name, whether they have ended, where their artifacts lie."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.pipelines.object_store import pipeline_root
from precisionflow.cluster.pipelines.specification import specification

if TYPE_CHECKING:
    from kfp_server_api import V2beta1RecurringRun, V2beta1Run

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
"""States of a run that no longer changes."""
SHOWN_RUNS = 5
"""Number of runs that are named where the one that was asked for is unknown, or a recurring one."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
LOOKED_AT = 100
"""Number of an experiment's newest runs among which some are looked for."""


def find_run(run: str, *, connection: Connection) -> "V2beta1Run":
    """The run with this id or name; ValueError where there is none, or more than one."""
    import kfp_server_api

    client = connection.pipelines
    found = runs_called(run, connection=connection)
    if len(found) > 1:
        ids = ", ".join(f"{one.run_id} ({one.created_at:%Y-%m-%d %H:%M})" for one in found)
        raise ValueError(f"{len(found)} runs are called {run!r}; give an id: {ids}")
    with explained(f"looking for run {run!r}"):
        try:
            return read_run(found[0].run_id if found else run, connection=connection)
        except kfp_server_api.ApiException as error:
            if found or error.status not in (400, 404):
                raise
        last = client.list_runs(
            page_size=SHOWN_RUNS, sort_by="created_at desc", namespace=connection.kfp_namespace
        )
    if recurring := find_recurring(run, connection=connection):
        own = _named(recurring_runs_of(recurring, connection=connection)[:SHOWN_RUNS])
        raise ValueError(f"{run!r} is a recurring run; give one of its runs, the last ones are: {own}")
    raise ValueError(f"unknown run {run!r}; the last ones are: {_named(last.runs or ())}")


def _named(runs: "Iterable[V2beta1Run]") -> str:
    return ", ".join(one.display_name for one in runs) or "none"


def find_recurring(name: str, *, connection: Connection) -> "V2beta1RecurringRun | None":
    """The recurring run with this name or id, if there is one."""
    with explained(f"looking for recurring run {name!r}"):
        found = connection.pipelines.list_recurring_runs(
            page_size=LOOKED_AT, namespace=connection.kfp_namespace, filter=called(name)
        )
        named = list(found.recurring_runs or ())
        if not named:
            every = connection.pipelines.list_recurring_runs(
                page_size=LOOKED_AT, namespace=connection.kfp_namespace
            )
            named = [one for one in every.recurring_runs or () if one.recurring_run_id == name]
    return named[0] if named else None


def recurring_runs_of(recurring: "V2beta1RecurringRun", *, connection: Connection) -> "list[V2beta1Run]":
    """Runs that a recurring run has started, the newest first."""
    with explained(f"looking for runs of {recurring.display_name!r}"):
        found = connection.pipelines.list_runs(
            experiment_id=recurring.experiment_id, page_size=LOOKED_AT, sort_by="created_at desc"
        )
    return [run for run in found.runs or () if run.recurring_run_id == recurring.recurring_run_id]


def runs_called(name: str, *, connection: Connection) -> "list[V2beta1Run]":
    """Runs with this name, the newest first."""
    with explained(f"looking for run {name!r}"):
        found = connection.pipelines.list_runs(
            page_size=20,
            sort_by="created_at desc",
            namespace=connection.kfp_namespace,
            filter=called(name),
        )
    return list(found.runs or ())


def called(name: str) -> str:
    """KFP's filter for what has this name: runs, pipelines, versions, experiments."""
    equal = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [equal]})


def read_run(run_id: str, *, connection: Connection) -> "V2beta1Run":
    """A run with the pipeline that it runs, which KFP keeps with the pipeline's version."""
    run = connection.pipelines.get_run(run_id)
    used = run.pipeline_version_reference
    if run.pipeline_spec is None and used is not None:
        run.pipeline_spec = _compiled(connection, used.pipeline_id, used.pipeline_version_id)
    return run


@lru_cache(maxsize=8)
def _compiled(connection: Connection, pipeline_id: str, version_id: str) -> Any:
    return connection.pipelines.get_pipeline_version(pipeline_id, version_id).pipeline_spec


def stopped(run: "V2beta1Run") -> bool:
    """Whether somebody has told the run to stop: KFP calls what comes of it a failure."""
    return any(past.state == "CANCELING" for past in run.state_history or ())


def state_of(run: "V2beta1Run") -> str:
    """State of a run in a word or two, and how long it took where it has ended."""
    state = str(run.state or "PENDING").lower()
    if run.state not in ENDED:
        return state
    if run.state == "FAILED" and stopped(run):
        state = "canceled"
    seconds = (run.finished_at - run.created_at).total_seconds()
    return f"{state} after {duration(seconds)}"


def duration(seconds: float) -> str:
    """Two units at most: 3 d 4 h, 5 min 6 s."""
    whole = max(0, int(seconds))
    for (size, unit), (smaller, below) in zip(_UNITS, (*_UNITS[1:], (1, "s")), strict=True):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {below}"
    return f"{whole} s"


def artifacts_of(run: "V2beta1Run", *, connection: Connection) -> str:
    """Address below which the run's own artifacts lie: root/pipeline/run id."""
    given = (run.runtime_config.pipeline_root if run.runtime_config else None) or None
    root = (given or pipeline_root(connection)).rstrip("/")
    parts = urlsplit(root)
    return f"{parts.scheme}://{parts.netloc}{parts.path}/{specification(run)['pipelineInfo']['name']}/{run.run_id}"
