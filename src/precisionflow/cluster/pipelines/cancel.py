"""Cancelling a run: the run, its workflow, its TrainJobs and Katib experiments."""

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.kinds import EXPERIMENTS, TRAINJOBS, WORKFLOWS
from precisionflow.cluster.pipelines.recurring import end_recurring
from precisionflow.cluster.pipelines.runs import ENDED, find, state_of
from precisionflow.cluster.pipelines.tasks import workflow_of


def cancel_run(run: str, *, access: Access) -> None:
    """Stop a run, its TrainJobs and Katib experiments; what is finished stays. A recurring run starts no more runs.

    The run's last task still records the end; called again while that goes on, it is stopped too.
    """
    import kfp_server_api

    connection = Connection(access)
    found = find(run, connection=connection)
    if isinstance(found, kfp_server_api.V2beta1RecurringRun):
        end_recurring(found, connection=connection)
        return
    if found.state in ENDED:
        print(f"run {found.display_name} ({found.run_id}): {state_of(found)} already")
    elif found.state == "CANCELING":
        shut_down(str(found.run_id), connection=connection)
        print(f"run {found.display_name} ({found.run_id}): told to stop at once")
    else:
        with explained(f"stopping run {found.display_name!r}"):
            connection.pipelines.terminate_run(found.run_id)
        print(f"run {found.display_name} ({found.run_id}): told to stop")
    for removed in remove_jobs(str(found.run_id), connection=connection):
        print(f"removed {removed}")


def shut_down(run_id: str, *, connection: Connection) -> None:
    """End a run's workflow without its exit handler, whose pod may never start: a wrong image, no free node."""
    if workflow := workflow_of(run_id, connection=connection):
        with explained("ending the run's workflow"):
            terminate = {"spec": {"shutdown": "Terminate"}}
            objects.patch(connection, WORKFLOWS, workflow["metadata"]["name"], terminate)


def remove_jobs(run_id: str, *, connection: Connection) -> list[str]:
    """Delete the TrainJobs and Katib experiments that a run has made; what they were called."""
    from kubernetes.client import ApiException

    removed = []
    for kind in (TRAINJOBS, EXPERIMENTS):
        with explained(f"removing the run's {kind.plural}"):
            try:
                found = objects.listed(connection, kind, labels={names.RUN: run_id})
            except ApiException as error:
                if error.status == 404:
                    continue
                raise
            for job in found:
                name = job["metadata"]["name"]
                objects.remove(connection, kind, name)
                removed.append(f"{kind.plural}/{name}")
    return removed
