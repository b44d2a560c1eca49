"""How a run is about to end, as its last task sees it from inside the cluster."""

from collections.abc import Sequence
from typing import Literal

from precisionflow.ablation.design import expand
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.pods import failure, pods_of
from precisionflow.cluster.pipelines.tasks import Node, from_workflow, short_names, workflow_of
from precisionflow.config import Experiment

End = Literal["FINISHED", "FAILED", "KILLED"]
"""MLflow's words."""


def ending(experiments: Sequence[Experiment], *, run: str, connection: Connection) -> tuple[End, str]:
    """The state of a run whose other tasks are over, and the cause of a bad end.

    Asked of Argo's workflow: KFP 2.14 fills the status of its exit handlers before it knows it. ClusterError where
    the workflow cannot be seen.
    """
    workflow = workflow_of(run, connection=connection)
    if workflow is None:
        raise ClusterError(
            f"run {run}: its workflow cannot be seen; give the service account the right to list workflows"
        )
    if told_to_stop(workflow):
        return "KILLED", "the run was told to stop"
    variants = [variant.experiment for experiment in experiments for variant in expand(experiment)]
    failed = [
        task for task in from_workflow(workflow, variants=short_names(variants)) if task.state == "failed"
    ]
    if not failed:
        return "FINISHED", ""
    pods = pods_of(run, connection=connection)
    return "FAILED", "; ".join(
        f"{task.label}: {failure(task, pods, connection=connection)}" for task in failed
    )


def told_to_stop(workflow: Node) -> bool:
    """Whether a workflow was ended from outside: KFP takes all its time away, Argo has a field of its own."""
    return workflow["spec"].get("activeDeadlineSeconds") == 0 or bool(workflow["spec"].get("shutdown"))
