"""Pods of a run: the task that each belongs to, what it printed, why it failed."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.names import KFP_RUN
from precisionflow.cluster.access.pod_logs import read_log
from precisionflow.cluster.access.pod_state import endings
from precisionflow.cluster.pipelines.mistake import MARK
from precisionflow.cluster.pipelines.tasks import NODE, Task
from precisionflow.console import ERROR

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

CONTAINER = "main"
"""Container of a pod in which the task runs."""
LAST_LINES = 50
"""Number of lines at a log's end in which the cause of a failure is looked for."""
_AROUND = re.compile(r"[IWE]\d{4} [\d:.]+ +\d+ |time=\"|\[KFP Executor ")
"""Beginnings of lines that are the launcher's, Argo's, the executor's."""


def pods_of(run_id: str, *, connection: Connection) -> "list[V1Pod]":
    """Pods of a run that still exist, the oldest first."""
    with explained("looking for the run's pods"):
        found = objects.pods(connection, labels={KFP_RUN: run_id})
    return sorted(found, key=lambda pod: pod.metadata.creation_timestamp)


def node_of(pod: "V1Pod") -> str:
    """Name of a pod's node in Argo's workflow: path of the task in the pipeline."""
    return str((pod.metadata.annotations or {}).get(NODE, ""))


def log_of(pod: "V1Pod", *, connection: Connection, last: int | None = None) -> str:
    """What a pod's task printed, or only the `last` lines; empty while it has not begun."""
    options = {"tail_lines": last} if last else {}
    with explained(f"reading the log of {pod.metadata.name}"):
        return read_log(connection, pod, container=CONTAINER, **options)


def task_lines(log: str) -> list[str]:
    """Lines of a log without those of KFP and Argo, and without the JSON that some of these end with."""
    kept, within = [], False
    for line in log.splitlines():
        if within:
            within = line != "}"
        elif line.endswith(("Got executor_input:", "ExecutorOutput: {")):
            within = True
        elif line and not _AROUND.match(line):
            kept.append(line)
    return kept


def error_line(pod: "V1Pod", *, connection: Connection) -> str:
    """The cause that a task of ours printed last; empty where it printed none."""
    lines = log_of(pod, connection=connection, last=LAST_LINES).splitlines()
    ours = [line.split(ERROR, 1)[1] for line in lines if ERROR in line]
    return ours[-1] if ours else ""


def failure(task: Task, pods: "Sequence[V1Pod]", *, connection: Connection) -> str:
    """Why the last try of a task failed: our own line where its container printed one, else what Argo says."""
    last = next((pod for pod in pods if task.failed_tries and node_of(pod) == task.failed_tries[-1]), None)
    mistake = task.message.partition(MARK)[2]
    if last is None:
        return mistake or task.message or "no reason given"
    ended = [end.cause for end in endings([last], container=CONTAINER)]
    said = error_line(last, connection=connection)
    return said or mistake or (ended or [f"{task.message}; `precisionflow logs` shows what it printed"])[0]
