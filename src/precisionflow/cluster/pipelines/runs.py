"""Runs on Kubeflow Pipelines: found by id or name, whether they have ended, where their artifacts lie."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.pipelines.object_store import pipeline_root
from precisionflow.cluster.pipelines.specification import specification

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
"""States of a run that no longer changes."""
SHOWN_RUNS = 5
"""Number of runs that are named where the one that was asked for is unknown."""


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
    known = ", ".join(one.display_name for one in last.runs or ()) or "none"
    raise ValueError(f"unknown run {run!r}; the last ones are: {known}")


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


def artifacts_of(run: "V2beta1Run", *, connection: Connection) -> str:
    """Address below which the run's own artifacts lie: root/pipeline/run id."""
    given = (run.runtime_config.pipeline_root if run.runtime_config else None) or None
    root = (given or pipeline_root(connection)).rstrip("/")
    parts = urlsplit(root)
    return f"{parts.scheme}://{parts.netloc}{parts.path}/{specification(run)['pipelineInfo']['name']}/{run.run_id}"
