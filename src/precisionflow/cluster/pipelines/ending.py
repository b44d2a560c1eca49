"""End of a run, as its last task sees it from inside the cluster: succeeded, failed with its cause, or stopped."""

from collections.abc import Sequence
from typing import Literal

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.pipelines.pods import failure, pods_of
from precisionflow.cluster.pipelines.tasks import from_workflow, workflow_of

End = Literal["FINISHED", "FAILED", "KILLED"]
"""Status of an ended run in MLflow."""


def ending(groups: Sequence[str], *, run: str, connection: Connection) -> tuple[End, str]:
    """Status of a run whose other tasks are over, and the cause where it failed or was stopped.

    `groups` are the titles of the loop's groups of variants.

    Argo's workflow is asked: KFP 2.14 fills the status of its exit handlers before it knows it. ClusterError where
    the workflow cannot be seen.
    """
    workflow = workflow_of(run, connection=connection)
    if workflow is None:
        raise ClusterError(
            f"run {run}: its workflow cannot be seen; give the service account the right to list workflows"
        )
    if told_to_stop(workflow):
        return "KILLED", "the run was told to stop"
    failed = [task for task in from_workflow(workflow, groups=groups) if task.state == "failed"]
    if not failed:
        return "FINISHED", ""
    pods = pods_of(run, connection=connection)
    return "FAILED", "; ".join(
        f"{task.label}: {failure(task, pods, connection=connection)}" for task in failed
    )


def told_to_stop(workflow: Object) -> bool:
    """Whether a workflow was ended from outside: KFP takes all its time away, Argo has a field of its own."""
    return workflow["spec"].get("activeDeadlineSeconds") == 0 or bool(workflow["spec"].get("shutdown"))
