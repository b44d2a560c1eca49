"""Submission of a pipeline: its version and its run, or nothing is left behind."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.pipelines.runs import LOOKED_AT, called, recurring_called, runs_called

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run


def start(
    file: Path, *, pipeline: str, version: str, run_name: str, cron: str | None, connection: Connection
) -> str:
    """Upload `version` of `pipeline` unless it is there, and run it; id of the run, with `cron` of the recurring run.

    The KFP experiment is called like the pipeline and made when absent. ClusterError where the run's name is taken;
    after any refusal the cluster is as it was.
    """
    import kfp_server_api as kfp

    refuse_taken(run_name, connection=connection)
    client, what = connection.pipelines, f"submitting {run_name}{f' with --cron {cron!r}' if cron else ''}"
    with contextlib.ExitStack() as undo, explained(what):
        reference = _version(file, pipeline=pipeline, version=version, connection=connection, undo=undo)
        content: dict[str, Any] = {
            "display_name": run_name,
            "experiment_id": _experiment(pipeline, connection=connection, undo=undo),
            "pipeline_version_reference": reference,
            "runtime_config": kfp.V2beta1RuntimeConfig(),
        }
        if cron:
            recurring = kfp.V2beta1RecurringRun(
                **content,
                trigger=kfp.V2beta1Trigger(cron_schedule=kfp.V2beta1CronSchedule(cron=cron)),
                mode=kfp.RecurringRunMode.ENABLE,
                max_concurrency="1",
                no_catchup=True,
            )
            made = client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=recurring)
            started = made.recurring_run_id
        else:
            started = client.runs.run_service_create_run(run=kfp.V2beta1Run(**content)).run_id
        undo.pop_all()
    return str(started)


def succeeded(pipeline: str, version: str, *, connection: Connection) -> "V2beta1Run | None":
    """The newest run of a version of a pipeline that has succeeded, if there is one."""
    with explained(f"looking for runs of {pipeline} that have done the same"):
        if not (pipeline_id := _pipeline_id(pipeline, connection=connection)):
            return None
        version_id = _version_id(version, pipeline_id=pipeline_id, connection=connection)
        experiment_id = _experiment_id(pipeline, connection=connection)
        if not version_id or not experiment_id:
            return None
        found = connection.pipelines.list_runs(
            experiment_id=experiment_id, page_size=LOOKED_AT, sort_by="created_at desc"
        )
    for run in found.runs or ():
        used = run.pipeline_version_reference
        if run.state == "SUCCEEDED" and used and used.pipeline_version_id == version_id:
            return run
    return None


def refuse_taken(run_name: str, *, connection: Connection) -> None:
    """ClusterError where a run, or a recurring one, has this name."""
    taken = [f"run {run.run_id}" for run in runs_called(run_name, connection=connection)]
    recurring = recurring_called(run_name, connection=connection)
    taken += [f"recurring run {one.recurring_run_id}" for one in recurring]
    if taken:
        raise ClusterError(f"run name {run_name!r} is taken by {taken[0]}; give another one with --run-name")


def _version(
    file: Path, *, pipeline: str, version: str, connection: Connection, undo: contextlib.ExitStack
) -> Any:
    """Reference to a version of a pipeline, uploaded unless KFP has it."""
    import kfp_server_api as kfp

    client = connection.pipelines
    pipeline_id = _pipeline_id(pipeline, connection=connection)
    if not pipeline_id:
        wanted = kfp.V2beta1Pipeline(display_name=pipeline, namespace=connection.kfp_namespace)
        pipeline_id = client.pipelines.pipeline_service_create_pipeline(pipeline=wanted).pipeline_id
        undo.callback(client.delete_pipeline, pipeline_id)
    version_id = _version_id(version, pipeline_id=pipeline_id, connection=connection)
    if not version_id:
        uploaded = client.pipeline_uploads.upload_pipeline_version(
            str(file), name=version, pipelineid=pipeline_id
        )
        version_id = uploaded.pipeline_version_id
        undo.callback(client.delete_pipeline_version, pipeline_id, version_id)
    return kfp.V2beta1PipelineVersionReference(pipeline_id=pipeline_id, pipeline_version_id=version_id)


def _experiment(name: str, *, connection: Connection, undo: contextlib.ExitStack) -> str:
    """Id of KFP's experiment of that name, made unless it is there."""
    import kfp_server_api as kfp

    if known := _experiment_id(name, connection=connection):
        return known
    client = connection.pipelines
    wanted = kfp.V2beta1Experiment(display_name=name, namespace=connection.kfp_namespace)
    made = client.experiments.experiment_service_create_experiment(experiment=wanted).experiment_id
    undo.callback(client.delete_experiment, made)
    return str(made)


def _pipeline_id(name: str, *, connection: Connection) -> str | None:
    known = connection.pipelines.list_pipelines(filter=called(name), namespace=connection.kfp_namespace)
    return next((str(one.pipeline_id) for one in known.pipelines or ()), None)


def _version_id(name: str, *, pipeline_id: str, connection: Connection) -> str | None:
    known = connection.pipelines.list_pipeline_versions(pipeline_id, filter=called(name))
    return next((str(one.pipeline_version_id) for one in known.pipeline_versions or ()), None)


def _experiment_id(name: str, *, connection: Connection) -> str | None:
    known = connection.pipelines.list_experiments(filter=called(name), namespace=connection.kfp_namespace)
    return next((str(one.experiment_id) for one in known.experiments or ()), None)


def mlflow_variables(connection: Connection) -> tuple[str, ...]:
    """MLflow's variables that the namespace's ConfigMap and Secret give; all of one that may not be looked at."""
    from kubernetes.client import ApiException

    core, found = connection.core, []
    for read, expected in (
        (core.read_namespaced_config_map, names.MLFLOW_VARIABLES),
        (core.read_namespaced_secret, names.MLFLOW_SECRETS),
    ):
        with explained(f"looking for MLflow's settings {names.MLFLOW} in namespace {connection.namespace}"):
            try:
                held = read(names.MLFLOW, connection.namespace).data or {}
            except ApiException as error:
                if error.status not in (403, 404):
                    raise
                held = {} if error.status == 404 else dict.fromkeys(expected, "")
        found += [name for name in expected if name in held]
    return tuple(found)
