"""The tasks of a run and their states: from its Argo workflow while that exists, later from KFP's own record."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.config import Experiment, parse

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

State = Literal["waiting", "running", "done", "cached", "failed", "stopped", "skipped"]
WORKFLOWS = ("argoproj.io", "v1alpha1", "workflows")
RUN_LABEL = "pipeline/runid"
"""Label that KFP gives the workflow and the pods of a run."""
NODE = "workflows.argoproj.io/node-name"
"""Annotation of a pod: which node of the workflow it is."""
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
"""States of a run that no longer changes."""
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
Node = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One task of a run; in a loop one for each variant."""

    label: str
    """Verb and variant."""
    state: State
    message: str = ""
    """What Argo says about it."""
    tries: tuple[str, ...] = ()
    """Names of the nodes of its tries."""
    failed_tries: tuple[str, ...] = ()
    """Those that failed; after them it is tried again as often as the experiment says."""


def workflow_of(run_id: str, *, connection: Connection) -> Node | None:
    """The run's Argo workflow; none when it is gone, hidden from this user, or too large to carry its nodes."""
    from kubernetes.client import ApiException, CustomObjectsApi

    group, version, plural = WORKFLOWS
    with explained("looking for the run's workflow"):
        try:
            found = CustomObjectsApi(connection.api).list_namespaced_custom_object(
                group, version, connection.namespace, plural, label_selector=f"{RUN_LABEL}={run_id}"
            )
        except ApiException as error:
            if error.status in (403, 404):
                return None
            raise
    whole = [item for item in found["items"] if item.get("status", {}).get("nodes")]
    return dict(whole[0]) if whole else None


def tasks_of(run: "V2beta1Run", *, connection: Connection) -> list[Task]:
    """In the order in which they began."""
    workflow = workflow_of(str(run.run_id), connection=connection)
    if workflow:
        found = from_workflow(workflow, variants=variant_names(run))
    else:
        details = (run.run_details.task_details if run.run_details else None) or []
        found = from_details(details, names=task_names(run))
    over = stopped(run) and run.state in ENDED
    return [_ended(task) if over else task for task in found]


def _ended(task: Task) -> Task:
    """As it is after its run: what was at work when the run was told to stop has not failed by itself."""
    if task.state in ("waiting", "running") or DEADLINE in task.message:
        return replace(task, state="stopped", message="")
    return task


def stopped(run: "V2beta1Run") -> bool:
    """Whether somebody has told the run to stop: KFP calls what comes of it a failure."""
    return any(past.state == "CANCELING" for past in run.state_history or ())


def from_workflow(workflow: Node, *, variants: Sequence[str]) -> list[Task]:
    """A container task is a node that has, or whose driver has made unnecessary, a node called executor.

    KFP's own pods count when they fail: nobody else tells why.
    """
    nodes = {node["name"]: node for node in workflow["status"]["nodes"].values()}
    tasks = []
    for name, node in sorted(nodes.items(), key=lambda item: item[1].get("startedAt") or ""):
        driver = nodes.get(f"{name}-driver", {})
        if f"{name}.executor" in nodes or "cached-decision" in _parameters(driver):
            tasks.append(_container_task(node, nodes, label=label_of(name, variants)))
        elif name.endswith("-driver") and _ARGO[node["phase"]] == "failed":
            tasks.append(Task(label_of(name, variants), "failed", node.get("message", "")))
    return tasks


def _container_task(node: Node, nodes: Mapping[str, Node], *, label: str) -> Task:
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


def _parameters(node: Node) -> dict[str, str]:
    return {p["name"]: p.get("value", "") for p in node.get("outputs", {}).get("parameters", [])}


def label_of(name: str, variants: Sequence[str]) -> str:
    """`wf.root.for-loop-1.iteration-iterations(1:1).iteration-item.train.executor(0)` -> train, second variant."""
    steps = [step for step in name.split(".") if not step.startswith("executor")]
    task = _ITERATION.sub("", steps[-1])
    for step in steps:
        if step.startswith("iteration-") and (found := _ITERATION.search(step)):
            index = int(found.group(1))
            return f"{task} {variants[index] if index < len(variants) else index + 1}"
    return task


def from_details(details: "Sequence[V2beta1PipelineTaskDetail]", *, names: Sequence[str]) -> list[Task]:
    """KFP's record does not say which variant a task is of: they are numbered as they began."""
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


def read_run(run_id: str, *, connection: Connection) -> "V2beta1Run":
    """A run with the pipeline that it runs, which KFP keeps with the pipeline's version."""
    run = connection.pipelines.get_run(run_id)
    used = run.pipeline_version_reference
    if run.pipeline_spec is None and used is not None:
        run.pipeline_spec = _compiled(connection, used.pipeline_id, used.pipeline_version_id)
    return run


@lru_cache(maxsize=8)
def _compiled(connection: Connection, pipeline_id: str, version_id: str) -> Any:
    return connection.pipelines.get_pipeline_version(pipeline_id, version_id).pipeline_spec


def specification(run: "V2beta1Run") -> Node:
    """The compiled pipeline of a run."""
    content = run.pipeline_spec or {}
    return dict(content.get("pipeline_spec", content))


def argument(run: "V2beta1Run", name: str) -> list[str]:
    """A list that the run was given, or that its pipeline has as the default; empty where it has neither."""
    value = _given(run, name)
    return json.loads(value) if isinstance(value, str) else list(value or [])


def text_argument(run: "V2beta1Run", name: str) -> str:
    """The same for a text."""
    return str(_given(run, name) or "")


def _given(run: "V2beta1Run", name: str) -> Any:
    given = (run.runtime_config.parameters if run.runtime_config else None) or {}
    inputs = specification(run).get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return given.get(name, inputs.get(name, {}).get("defaultValue"))


def variant_names(run: "V2beta1Run") -> list[str]:
    """What the tasks of each variant are called."""
    return short_names([parse(text) for text in argument(run, "variants")])


def short_names(variants: Sequence[Experiment]) -> list[str]:
    """Names of variants; with the data set where there are several."""
    several = len({variant.dataset for variant in variants}) > 1
    return [f"{variant.dataset} {variant.variant}" if several else variant.variant for variant in variants]


def task_names(run: "V2beta1Run") -> list[str]:
    """Names of the tasks that run a container."""
    return [name for name, _ in _containers(specification(run), "root", times=1)]


def task_count(run: "V2beta1Run") -> int:
    """How many tasks the run will have."""
    times = len(argument(run, "variants"))
    return sum(count for _, count in _containers(specification(run), "root", times=times))


def _containers(spec: Node, component: str, *, times: int) -> Iterator[tuple[str, int]]:
    """Container tasks below a component, and how often each runs when a loop runs `times` times."""
    content = spec["root"] if component == "root" else spec["components"][component]
    for name, task in content.get("dag", {}).get("tasks", {}).items():
        called = task["componentRef"]["name"]
        if "executorLabel" in spec["components"][called]:
            yield name, 1
        else:
            repeated = times if "parameterIterator" in task else 1
            for inner, count in _containers(spec, called, times=times):
                yield inner, count * repeated
