"""The pods of a run: which task each belongs to, and what it printed."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.pod_state import endings
from precisionflow.cluster.pipelines.tasks import NODE, RUN_LABEL, Task

_AROUND = re.compile(r"[IWE]\d{4} [\d:.]+ +\d+ |time=\"|\[KFP Executor ")
"""The launcher's lines, Argo's, the executor's."""

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

CONTAINER = "main"
"""Of a pod, in which the task runs."""
MARK = "precisionflow: error: "
"""How the line begins that says why a task of ours failed."""
LAST_LINES = 50
"""Of a log, in which that line is looked for."""


def pods_of(run_id: str, *, connection: Connection) -> "list[V1Pod]":
    """Pods that still exist, the oldest first."""

    with explained("looking for the run's pods"):
        found = connection.core.list_namespaced_pod(
            connection.namespace, label_selector=f"{RUN_LABEL}={run_id}"
        )
    return sorted(found.items, key=lambda pod: pod.metadata.creation_timestamp)


def node_of(pod: "V1Pod") -> str:
    """The node of Argo's workflow that a pod is: path of the task in the pipeline."""
    return str((pod.metadata.annotations or {}).get(NODE, ""))


def log_of(pod: "V1Pod", *, connection: Connection, last: int | None = None) -> str:
    """What a pod's task printed, or only the `last` lines; empty while it has not begun."""
    from kubernetes.client import ApiException

    with explained(f"reading the log of {pod.metadata.name}"):
        try:
            # the client would turn bytes into their Python notation
            answer = connection.core.read_namespaced_pod_log(
                pod.metadata.name,
                pod.metadata.namespace,
                container=CONTAINER,
                _preload_content=False,
                **({"tail_lines": last} if last else {}),
            )
        except ApiException as error:
            if error.status in (400, 404):
                return ""
            raise
    return str(answer.data.decode(errors="replace"))


def task_lines(log: str) -> list[str]:
    """A log without what KFP and Argo print around a task: their own lines, and the JSON that some of them end with."""
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
    ours = [line.split(MARK, 1)[1] for line in lines if MARK in line]
    return ours[-1] if ours else ""


def failure(task: Task, pods: "Sequence[V1Pod]", *, connection: Connection) -> str:
    """Why the last try of a task failed: our own line where its container printed one, else what Argo says."""
    last = next((pod for pod in pods if task.failed_tries and node_of(pod) == task.failed_tries[-1]), None)
    if last is None:
        return task.message or "no reason given"
    ended = [end.cause for end in endings([last], container=CONTAINER)]
    said = error_line(last, connection=connection)
    return said or (ended or [f"{task.message}; `precisionflow logs` shows what it printed"])[0]
