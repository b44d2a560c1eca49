"""A user's mistake is told to the workflow once, in Argo's words; whatever stands in the way, the task just fails."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from precisionflow import entrypoints
from precisionflow.cluster.access import owner
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.pipelines import mistake
from precisionflow.cluster.pipelines.mistake import UNLESS, again_when_lost, conditions, not_again
from precisionflow.training.launch import STOPPED
from tests.invented_cluster import Table

COMPONENTS = Path(__file__).parents[3] / "components"
TASKS = sorted({file.stem for file in COMPONENTS.glob("[a-z]*.py")} - {"images"})
PLACE = f"/apis/{WORKFLOWS.api_version}/namespaces/here/{WORKFLOWS.plural}"
KFP = {"limit": "{{inputs.parameters.retry-max-count}}", "backoff": {"maxDuration": "9"}}
TEMPLATES = [
    {"name": "driver"},
    {"name": "retry-system-container-executor", "retryStrategy": KFP},
    {"name": "other", "retryStrategy": {"limit": 1, "expression": "lastRetry.exitCode != '7'"}},
]


@pytest.fixture
def task(table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
    """An API server, as a task of a pipeline there sees it."""
    monkeypatch.setenv("KFP_POD_NAME", "me")
    monkeypatch.setattr(owner, "inside", lambda: True)
    reference = {"apiVersion": WORKFLOWS.api_version, "kind": "Workflow", "name": "wf", "uid": "u"}
    pod = {"metadata": {"name": "me", "ownerReferences": [reference]}}
    table.answers["GET", "/api/v1/namespaces/here/pods/me"] = (200, pod)
    workflow: dict[str, Any] = {"metadata": {"name": "wf"}, "spec": {"templates": TEMPLATES}}
    table.answers["GET", PLACE] = (200, {"items": [workflow]})
    table.answers["PATCH", f"{PLACE}/wf"] = (200, workflow)
    return table


def test_the_workflow_gets_the_condition_and_the_pod_the_words(task: Table, tmp_path: Path) -> None:
    not_again("prepare: row 7\n is no number", connection=task.connection(), said=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "precisionflow: mistake: prepare: row 7 is no number"
    assert task.asked[-1] == ("PATCH", f"{PLACE}/wf")
    name, strategy = task.sent
    assert name == {
        "op": "test",
        "path": "/spec/templates/1/name",
        "value": "retry-system-container-executor",
    }
    assert strategy["path"] == "/spec/templates/1/retryStrategy"
    assert strategy["value"] == {
        "retryPolicy": "Always",
        "limit": "100",
        "backoff": {"maxDuration": "9", "cap": "10m"},
        "expression": "not (lastRetry.message contains 'precisionflow: mistake:') and "
        "(lastRetry.status == 'Error' or lastRetry.message contains '(exit code 143)' or "
        "asInt(retries) < {{inputs.parameters.retry-max-count}})",
    }


def test_what_has_the_condition_is_left_alone() -> None:
    template = {"name": "t", "retryStrategy": {**KFP, "expression": UNLESS}}
    assert conditions({"spec": {"templates": [template]}}) == []
    assert conditions({"spec": {}}) == []
    (_, unlimited) = conditions({"spec": {"templates": [{"name": "t", "retryStrategy": {}}]}})
    assert unlimited["value"] == {"retryPolicy": "Always", "expression": UNLESS}


@pytest.mark.parametrize(
    "refused", [("GET", "/api/v1/namespaces/here/pods/me"), ("GET", PLACE), ("PATCH", f"{PLACE}/wf")]
)
def test_a_right_that_is_missing_changes_nothing_else(
    task: Table, refused: tuple[str, str], tmp_path: Path
) -> None:
    task.answers[refused] = (403, {"message": "no"})
    not_again("x", connection=task.connection(), said=tmp_path / "log")
    assert task.asked[-1] == refused


def test_a_task_that_works_long_has_lost_pods_tried_again(task: Table) -> None:
    again_when_lost(connection=task.connection())
    assert task.asked[-1] == ("PATCH", f"{PLACE}/wf")
    assert [one["path"] for one in task.sent] == ["/spec/templates/1/name", "/spec/templates/1/retryStrategy"]
    for refused in (("PATCH", f"{PLACE}/wf"), ("GET", PLACE)):
        task.answers[refused] = (403, {"message": "no"})
        again_when_lost(connection=task.connection())


class Asked(Exception):
    """The workflow was told, and nothing else was done before."""


@pytest.mark.parametrize("task", TASKS)
def test_every_task_asks_for_it_first(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks before it may come from KFP's cache, and none of them has told the workflow then."""

    def asked() -> None:
        raise Asked

    entry = getattr(entrypoints, task)
    wanted = inspect.signature(entry).parameters.values()
    given = ["x" for one in wanted if one.kind != one.KEYWORD_ONLY]
    names = [one.name for one in wanted if one.kind == one.KEYWORD_ONLY]
    monkeypatch.setenv("KFP_POD_NAME", "me")
    monkeypatch.setattr(mistake, "again_when_lost", asked)
    with pytest.raises(Asked):
        entry(*given, **dict.fromkeys(names, "x"))


def test_outside_of_a_pipeline_nothing_is_asked(task: Table, tmp_path: Path) -> None:
    task.answers["GET", "/api/v1/namespaces/here/pods/me"] = (200, {"metadata": {"name": "me"}})
    not_again("x", connection=task.connection(), said=tmp_path / "log")
    assert len(task.asked) == 1
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("error", "inside", "told"),
    [
        (ValueError("no such column"), True, ["train: no such column"]),
        (ValueError("no such column"), False, []),
        (ValueError(f"{STOPPED}: rank 1 was killed by SIGKILL; run again"), True, []),
        (OSError(28, "No space left on device"), True, []),
        (MemoryError("much"), True, []),
    ],
)
def test_only_a_mistake_of_a_task_is_one(
    error: Exception, inside: bool, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or too little memory may be otherwise on the next node."""
    said: list[str] = []
    monkeypatch.setattr(mistake, "not_again", said.append)
    monkeypatch.delenv("KFP_POD_NAME", raising=False)
    if inside:
        monkeypatch.setenv("KFP_POD_NAME", "me")
    with pytest.raises(SystemExit) as caught, entrypoints.one_line_errors("train"):
        raise error
    assert (caught.value.code, said) == (2, told)
