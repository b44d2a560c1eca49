"""Runs that exist: finding one by id or name, its state, what its tasks printed, stopping it."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.pipelines.objects import objects, pipeline_root
from precisionflow.cluster.pipelines.pods import log_of, node_of, pods_of, task_lines
from precisionflow.cluster.pipelines.tasks import (
    ENDED,
    WORKFLOWS,
    Task,
    label_of,
    read_run,
    specification,
    stopped,
    tasks_of,
    variant_names,
    workflow_of,
)

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

SHOWN_RUNS = 5
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


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
        last = client.list_runs(page_size=SHOWN_RUNS, sort_by="created_at desc", namespace=connection.owner)
    known = ", ".join(one.display_name for one in last.runs or ()) or "none"
    raise ValueError(f"unknown run {run!r}; the last ones are: {known}")


def runs_called(name: str, *, connection: Connection) -> "list[V2beta1Run]":
    """Runs with this name, the newest first."""
    import json

    equal = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    with explained(f"looking for run {name!r}"):
        found = connection.pipelines.list_runs(
            page_size=20, sort_by="created_at desc", namespace=connection.owner, filter=json.dumps(equal)
        )
    return list(found.runs or ())


def print_status(run: str, *, access: Access, screen: TextIO) -> None:
    """The state of a run and of each of its tasks."""
    connection = Connection(access)
    found = find_run(run, connection=connection)
    print(f"run {found.display_name} ({found.run_id}): {state_of(found)}", file=screen)
    for task in tasks_of(found, connection=connection):
        print(f"  {task_line(task)}", file=screen)


def state_of(run: "V2beta1Run") -> str:
    """What KFP says of a run, in our words, and since when or for how long."""
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


def task_line(task: Task) -> str:
    """A task's state, and why where that is not as hoped."""
    words = {"cached": "taken from the cache"}.get(task.state, task.state)
    tried = f", try {len(task.failed_tries) + 1}" if task.failed_tries and task.state == "running" else ""
    why = (
        f": {' '.join(task.message.split())}" if task.message and task.state in ("waiting", "failed") else ""
    )
    return f"{task.label}: {words}{tried}{why}"


def print_logs(run: str, *, task: str | None, access: Access, screen: TextIO) -> None:
    """What the containers of a run's tasks printed: from their pods, or from KFP's store when those are gone."""
    connection = Connection(access)
    found = find_run(run, connection=connection)
    variants = variant_names(found)
    shown = 0
    for pod in pods_of(found.run_id, connection=connection):
        node = node_of(pod)
        label = label_of(node, variants)
        if ".executor" in node and label.startswith(task or ""):
            shown += 1
            print(f"== {label} ({pod.metadata.name}, {pod.status.phase})", file=screen)
            _print_lines(log_of(pod, connection=connection), screen)
    shown = shown or _print_stored(found, task=task or "", connection=connection, screen=screen)
    if not shown:
        wanted = f" whose name begins with {task!r}" if task else ""
        raise ValueError(
            f"run {found.display_name}: no task{wanted} has printed anything that is still kept; "
            f"`precisionflow status {found.display_name}` lists the tasks"
        )


def _print_lines(log: str, screen: TextIO) -> None:
    for line in task_lines(log):
        print(line, file=screen)


def artifacts_of(run: "V2beta1Run", *, connection: Connection) -> str:
    """Address of everything that the run itself wrote."""
    given = (run.runtime_config.pipeline_root if run.runtime_config else None) or None
    root = (given or pipeline_root(connection)).rstrip("/")
    parts = urlsplit(root)
    return f"{parts.scheme}://{parts.netloc}{parts.path}/{specification(run)['pipelineInfo']['name']}/{run.run_id}"


def _print_stored(run: "V2beta1Run", *, task: str, connection: Connection, screen: TextIO) -> int:
    """Logs that KFP's launcher has put beside the artifacts; the number of them."""
    address = artifacts_of(run, connection=connection)
    with objects(connection, root=address) as store:
        logs = [key for key in store.keys(address) if PurePosixPath(key).name == "executor-logs"]
        chosen = [key for key in logs if key.startswith(task)]
        for key in chosen:
            print(f"== {key.split('/')[0]} (stored)", file=screen)
            _print_lines(store.read(f"{address}/{key}").decode(errors="replace"), screen)
    return len(chosen)


def cancel_run(run: str, *, access: Access) -> None:
    """Stop a run, its TrainJobs and Katib experiments; what is finished stays.

    The run's last task still records the end; called again while that goes on, it is stopped too.
    """
    connection = Connection(access)
    found = find_run(run, connection=connection)
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

    group, version, plural = WORKFLOWS
    if workflow := workflow_of(run_id, connection=connection):
        place = (group, version, connection.namespace, plural, workflow["metadata"]["name"])
        with explained("ending the run's workflow"):
            connection.custom.patch_namespaced_custom_object(*place, {"spec": {"shutdown": "Terminate"}})


def remove_jobs(run_id: str, *, connection: Connection) -> list[str]:
    """Delete the TrainJobs and Katib experiments that a run has made; what they were called."""
    from kubernetes.client import ApiException

    kinds = (("trainer.kubeflow.org", "v1alpha1", "trainjobs"), ("kubeflow.org", "v1beta1", "experiments"))
    api, removed = connection.custom, []
    for group, version, plural in kinds:
        place = (group, version, connection.namespace, plural)
        with explained(f"removing the run's {plural}"):
            try:
                found = api.list_namespaced_custom_object(*place, label_selector=f"{names.RUN}={run_id}")
            except ApiException as error:
                if error.status == 404:
                    continue
                raise
            for item in found["items"]:
                api.delete_namespaced_custom_object(
                    *place, item["metadata"]["name"], propagation_policy="Foreground"
                )
                removed.append(f"{plural}/{item['metadata']['name']}")
    return removed
