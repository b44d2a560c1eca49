"""State of a run and of its tasks, in lines."""

from typing import TextIO

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.pipelines.pods import node_of, pods_of
from precisionflow.cluster.pipelines.queued import Queues
from precisionflow.cluster.pipelines.recurring import print_recurring
from precisionflow.cluster.pipelines.runs import ENDED, find, state_of
from precisionflow.cluster.pipelines.tasks import Task, tasks_of


def print_status(run: str, *, access: Access, screen: TextIO) -> None:
    """Print the state of a run and of each of its tasks; of a recurring run its schedule and its last runs."""
    import kfp_server_api

    connection = Connection(access)
    found = find(run, connection=connection)
    if isinstance(found, kfp_server_api.V2beta1RecurringRun):
        print_recurring(found, connection=connection, screen=screen)
        return
    print(f"run {found.display_name} ({found.run_id}): {state_of(found)}", file=screen)
    tasks, places, queues = tasks_of(found, connection=connection), dict[str, str](), Queues(connection)
    if any(task.state == "waiting" for task in tasks):
        pods = pods_of(str(found.run_id), connection=connection)
        held = {node_of(pod): queues.place_of(pod) for pod in pods}
        places = {node: place for node, place in held.items() if place}
    for task in tasks:
        place = next((places[node] for node in task.tries if node in places), None)
        print(f"  {f'{task.label}: {place}' if place else task_line(task)}", file=screen)
    if found.state not in ENDED:
        for job, place in queues.jobs(str(found.run_id)).items():
            print(f"  {job}: {place}", file=screen)


def task_line(task: Task) -> str:
    """Label and state of a task, and the reason where it waits or has failed."""
    words = {"cached": "taken from the cache"}.get(task.state, task.state)
    tried = f", try {len(task.failed_tries) + 1}" if task.failed_tries and task.state == "running" else ""
    why = (
        f": {' '.join(task.message.split())}" if task.message and task.state in ("waiting", "failed") else ""
    )
    return f"{task.label}: {words}{tried}{why}"
