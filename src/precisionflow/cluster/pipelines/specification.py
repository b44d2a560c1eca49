"""Compiled pipeline of a run: its arguments, the names of its groups of variants, the number of its tasks."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from precisionflow.ablation.groups import group_of
from precisionflow.cluster.access.objects import Object

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run


def specification(run: "V2beta1Run") -> Object:
    """The compiled pipeline of a run, as KFP's intermediate representation."""
    content = run.pipeline_spec or {}
    return dict(content.get("pipeline_spec", content))


def argument(run: "V2beta1Run", name: str) -> list[str]:
    """A list that the run was given, or that its pipeline has as the default; empty where it has neither."""
    value = _given(run, name)
    return json.loads(value) if isinstance(value, str) else list(value or [])


def text_argument(run: "V2beta1Run", name: str) -> str:
    """A text that the run was given, or that its pipeline has as the default; empty where it has neither."""
    return str(_given(run, name) or "")


def _given(run: "V2beta1Run", name: str) -> Any:
    given = (run.runtime_config.parameters if run.runtime_config else None) or {}
    inputs = specification(run).get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return given.get(name, inputs.get(name, {}).get("defaultValue"))


def group_titles(run: "V2beta1Run") -> list[str]:
    """Name of each group of a run's variants, as its tasks are labelled."""
    return [group_of(text).title for text in argument(run, "groups")]


def task_names(run: "V2beta1Run") -> list[str]:
    """Names of the tasks that run a container."""
    return [name for name, _ in _containers(specification(run), "root", times=1)]


def task_count(run: "V2beta1Run") -> int:
    """Number of tasks that the run will have."""
    times = len(argument(run, "groups"))
    return sum(count for _, count in _containers(specification(run), "root", times=times))


def _containers(spec: Object, component: str, *, times: int) -> Iterator[tuple[str, int]]:
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
