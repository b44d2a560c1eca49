"""Tasks of a run and their states: from its Argo workflow while that exists, later from KFP's own record."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.access.names import KFP_RUN
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.pipelines.runs import ENDED, stopped
from precisionflow.cluster.pipelines.specification import group_titles, task_names

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

State = Literal["waiting", "running", "done", "cached", "failed", "stopped", "skipped"]
NODE = "workflows.argoproj.io/node-name"
"""Annotation of a pod: name of its node in the workflow."""
DEADLINE = "Step exceeded its deadline"
"""What Argo says of a task whose run was told to stop."""
_ARGO: Mapping[str, State] = {
    "Pending": "waiting",
    "Running": "running",
    "Succeeded": "done",
    "Skipped": "skipped",
    "Omitted": "skipped",
    "Failed": "failed",
    "Error": "failed",
}
_KFP: Mapping[str, State] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "CANCELED": "failed",
}
_ITERATION = re.compile(r"\((\d+)(:\d+)?\)$")


@dataclass(frozen=True)
class Task:
    """One task of a run; in a loop one for each group of variants."""

    label: str
    """Verb and variant, or the first and the last one of several."""
    state: State
    message: str = ""
    """What Argo says about it."""
    tries: tuple[str, ...] = ()
    """Names of its tries' nodes in the workflow."""
    failed_tries: tuple[str, ...] = ()
    """Those that failed; after them it is tried again as often as the experiment says."""


def workflow_of(run_id: str, *, connection: Connection) -> Object | None:
    """The run's Argo workflow; none when it is gone, hidden from this user, or too large to carry its nodes."""
    from kubernetes.client import ApiException

    with explained("looking for the run's workflow"):
        try:
            found = objects.listed(connection, WORKFLOWS, labels={KFP_RUN: run_id})
        except ApiException as error:
            if error.status in (403, 404):
                return None
            raise
    whole = [item for item in found if item.get("status", {}).get("nodes")]
    return dict(whole[0]) if whole else None


def tasks_of(run: "V2beta1Run", *, connection: Connection) -> list[Task]:
    """Tasks of a run in the order in which they began."""
    workflow = workflow_of(str(run.run_id), connection=connection)
    if workflow:
        found = from_workflow(workflow, groups=group_titles(run))
    else:
        details = (run.run_details.task_details if run.run_details else None) or []
        found = from_details(details, names=task_names(run))
    over = stopped(run) and run.state in ENDED
    return [_ended(task) if over else task for task in found]


def _ended(task: Task) -> Task:
    """A task after its run was told to stop: what was at work then has not failed by itself."""
    if task.state in ("waiting", "running") or DEADLINE in task.message:
        return replace(task, state="stopped", message="")
    return task


def from_workflow(workflow: Object, *, groups: Sequence[str]) -> list[Task]:
    """Tasks with a container: nodes that have a node called executor, or whose driver has made it unnecessary.

    KFP's own drivers are told too when they fail: nobody else says why.
    """
    nodes = {node["name"]: node for node in workflow["status"]["nodes"].values()}
    tasks = []
    for name, node in sorted(nodes.items(), key=lambda item: item[1].get("startedAt") or ""):
        driver = nodes.get(f"{name}-driver", {})
        if f"{name}.executor" in nodes or "cached-decision" in _parameters(driver):
            tasks.append(_container_task(node, nodes, label=label_of(name, groups)))
        elif name.endswith("-driver") and _ARGO[node["phase"]] == "failed":
            tasks.append(Task(label_of(name, groups), "failed", node.get("message", "")))
    return tasks


def _container_task(node: Object, nodes: Mapping[str, Object], *, label: str) -> Task:
    executor = f"{node['name']}.executor"
    tries = sorted(other for other in nodes if other.startswith(f"{executor}("))
    tries = tries or [other for other in nodes if other == executor]
    failed = [other for other in tries if _ARGO[nodes[other]["phase"]] == "failed"]
    state = _ARGO[node["phase"]]
    if state == "running" and any(nodes[other]["phase"] == "Pending" for other in tries):
        state = "waiting"
    if _parameters(nodes.get(f"{node['name']}-driver", {})).get("cached-decision") == "true":
        state = "cached"
    messages = [nodes[other].get("message", "") for other in reversed(tries)]
    message = next(filter(None, [*messages, node.get("message", "")]), "")
    return Task(label, state, message, tuple(tries), tuple(failed))


def _parameters(node: Object) -> dict[str, str]:
    return {p["name"]: p.get("value", "") for p in node.get("outputs", {}).get("parameters", [])}


def label_of(name: str, groups: Sequence[str]) -> str:
    """`wf.root.for-loop-1.iteration-iterations(1:1).iteration-item.train.executor(0)` -> train, second group."""
    steps = [step for step in name.split(".") if not step.startswith("executor")]
    task = _ITERATION.sub("", steps[-1])
    for step in steps:
        if step.startswith("iteration-") and (found := _ITERATION.search(step)):
            index = int(found.group(1))
            return f"{task} {groups[index] if index < len(groups) else index + 1}"
    return task


def from_details(details: "Sequence[V2beta1PipelineTaskDetail]", *, names: Sequence[str]) -> list[Task]:
    """Tasks of KFP's record, numbered as they began: it does not say which variant a task is of."""
    chosen = sorted(
        (d for d in details if d.display_name in names),
        key=lambda detail: (detail.start_time, detail.task_id),
    )
    counts: dict[str, int] = {}
    tasks = []
    for detail in chosen:
        name = str(detail.display_name)
        counts[name] = counts.get(name, 0) + 1
        several = sum(other.display_name == name for other in chosen) > 1
        message = detail.error.message if detail.error else ""
        label = f"{name} {counts[name]}" if several else name
        tasks.append(Task(label, _KFP.get(str(detail.state), "skipped"), message or ""))
    return tasks
