"""Submission of a pipeline: its version and its run, or nothing is left behind."""

import contextlib
from pathlib import Path
from typing import Any

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.pipelines.runs import called, runs_called


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


def refuse_taken(run_name: str, *, connection: Connection) -> None:
    """ClusterError where a run, or a recurring one, has this name."""
    taken = [f"run {run.run_id}" for run in runs_called(run_name, connection=connection)]
    with explained("looking for recurring runs"):
        recurring = connection.pipelines.list_recurring_runs(
            page_size=1, filter=called(run_name), namespace=connection.kfp_namespace
        )
    taken += [f"recurring run {one.recurring_run_id}" for one in recurring.recurring_runs or ()]
    if taken:
        raise ClusterError(f"run name {run_name!r} is taken by {taken[0]}; give another one with --run-name")


def _version(
    file: Path, *, pipeline: str, version: str, connection: Connection, undo: contextlib.ExitStack
) -> Any:
    """Reference to a version of a pipeline, uploaded unless KFP has it."""
    import kfp_server_api as kfp

    client, owner = connection.pipelines, connection.kfp_namespace
    known = client.list_pipelines(filter=called(pipeline), namespace=owner).pipelines
    if known:
        pipeline_id = known[0].pipeline_id
    else:
        wanted = kfp.V2beta1Pipeline(display_name=pipeline, namespace=owner)
        pipeline_id = client.pipelines.pipeline_service_create_pipeline(pipeline=wanted).pipeline_id
        undo.callback(client.delete_pipeline, pipeline_id)
    same = client.list_pipeline_versions(pipeline_id, filter=called(version)).pipeline_versions
    if same:
        version_id = same[0].pipeline_version_id
    else:
        uploaded = client.pipeline_uploads.upload_pipeline_version(
            str(file), name=version, pipelineid=pipeline_id
        )
        version_id = uploaded.pipeline_version_id
        undo.callback(client.delete_pipeline_version, pipeline_id, version_id)
    return kfp.V2beta1PipelineVersionReference(pipeline_id=pipeline_id, pipeline_version_id=version_id)


def _experiment(name: str, *, connection: Connection, undo: contextlib.ExitStack) -> str:
    """Id of KFP's experiment of that name, made unless it is there."""
    import kfp_server_api as kfp

    client, owner = connection.pipelines, connection.kfp_namespace
    known = client.list_experiments(filter=called(name), namespace=owner).experiments
    if known:
        return str(known[0].experiment_id)
    wanted = kfp.V2beta1Experiment(display_name=name, namespace=owner)
    made = client.experiments.experiment_service_create_experiment(experiment=wanted).experiment_id
    undo.callback(client.delete_experiment, made)
    return str(made)


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
