"""Runs on Kubeflow Pipelines: found by id or name, whether they have ended, where their artifacts lie."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
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
Found = TypeVar("Found")
LOOKED_AT = 100
"""Number of an experiment's runs that are read at once, the newest first."""


def find(run: str, *, connection: Connection) -> "V2beta1Run | V2beta1RecurringRun":
    """The run with this name or id, else the recurring run; ValueError where there is none, or more than one."""
    runs = runs_called(run, connection=connection)
    if runs:
        found = _only(run, {str(one.run_id): one for one in runs})
        with explained(f"looking for run {run!r}"):
            return read_run(found.run_id, connection=connection)
    client = connection.pipelines
    if known := _unless_absent(lambda: read_run(run, connection=connection), what=f"run {run!r}"):
        return known
    if recurring := recurring_called(run, connection=connection):
        return _only(run, {str(one.recurring_run_id): one for one in recurring})
    if by_id := _unless_absent(lambda: client.get_recurring_run(run), what=f"recurring run {run!r}"):
        return by_id
    with explained(f"looking for run {run!r}"):
        last = client.list_runs(
            page_size=SHOWN_RUNS, sort_by="created_at desc", namespace=connection.kfp_namespace
        )
    raise ValueError(f"unknown run {run!r}; the last ones are: {_named(last.runs or ())}")


def find_run(run: str, *, connection: Connection) -> "V2beta1Run":
    """The run with this name or id; ValueError where there is none, more than one, or a recurring one."""
    import kfp_server_api

    found = find(run, connection=connection)
    if isinstance(found, kfp_server_api.V2beta1RecurringRun):
        own = _named(islice(recurring_runs_of(found, connection=connection), SHOWN_RUNS))
        raise ValueError(f"{run!r} is a recurring run; give one of its runs, the last ones are: {own}")
    return found


def _only(name: str, found: Mapping[str, Any]) -> Any:
    if len(found) > 1:
        ids = ", ".join(f"{key} ({one.created_at:%Y-%m-%d %H:%M})" for key, one in found.items())
        raise ValueError(f"{len(found)} runs are called {name!r}; give an id: {ids}")
    return next(iter(found.values()))


def _unless_absent(read: Callable[[], Found], *, what: str) -> Found | None:
    """What is read by an id; none where KFP says that there is no such id, or that it is none."""
    import kfp_server_api

    with explained(f"looking for {what}"):
        try:
            return read()
        except kfp_server_api.ApiException as error:
            if error.status not in (400, 404):
                raise
    return None


def _named(runs: "Iterable[V2beta1Run]") -> str:
    return ", ".join(one.display_name for one in runs) or "none"


def recurring_called(name: str, *, connection: Connection) -> "list[V2beta1RecurringRun]":
    """Recurring runs with this name."""
    with explained(f"looking for recurring run {name!r}"):
        found = connection.pipelines.list_recurring_runs(
            page_size=20, namespace=connection.kfp_namespace, filter=called(name)
        )
    return list(found.recurring_runs or ())


def recurring_runs_of(recurring: "V2beta1RecurringRun", *, connection: Connection) -> "Iterator[V2beta1Run]":
    """Runs that a recurring run has started, the newest first, read page by page."""
    page = ""
    while True:
        with explained(f"looking for runs of {recurring.display_name!r}"):
            found = connection.pipelines.list_runs(
                experiment_id=recurring.experiment_id,
                page_size=LOOKED_AT,
                page_token=page,
                sort_by="created_at desc",
            )
        for run in found.runs or ():
            if run.recurring_run_id == recurring.recurring_run_id:
                yield run
        page = found.next_page_token or ""
        if not page:
            return


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
