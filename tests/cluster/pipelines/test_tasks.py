"""Tasks of a run, their states and names, read from its Argo workflow."""

from precisionflow.cluster.pipelines.tasks import from_workflow, label_of
from tests.invented_workflow import driver, node, workflow


def test_tasks_are_read_from_the_workflow() -> None:
    second = "exit-handler-1.for-loop-2.iteration-iterations(1:1).iteration-item.train"
    quota = 'pods "x" is forbidden: exceeded quota'
    found = from_workflow(
        workflow(
            node("exit-handler-1", "Running"),
            node("exit-handler-1-driver", "Succeeded"),
            driver("prepare", cached=True),
            node("prepare", "Succeeded"),
            node("prepare.executor", "Skipped"),
            driver(second, cached=False),
            node(second, "Running"),
            node(f"{second}.executor", "Running"),
            node(f"{second}.executor(0)", "Failed", message="OOMKilled (exit code 137)"),
            node(f"{second}.executor(1)", "Pending", message=quota),
            driver("report", cached=False),
            node("report", "Error"),
            node("report.executor", "Error", message="gone"),
            node("aggregate", "Omitted"),
            node("evaluate-driver", "Error", message="no such host"),
        ),
        groups=["one", "other"],
    )
    assert {task.label: (task.state, task.message, len(task.failed_tries)) for task in found} == {
        "prepare": ("cached", "", 0),
        "train other": ("waiting", quota, 1),
        "report": ("failed", "gone", 1),
        "evaluate-driver": ("failed", "no such host", 0),
    }


def test_names_of_tasks() -> None:
    place = "wf.root.exit-handler-1.for-loop-2.iteration-iterations({}).iteration-item.train.executor(2)"
    assert label_of(place.format("1:1"), ["one", "other"]) == "train other"
    assert label_of(place.format("7:7"), ["one", "other"]) == "train 8"
    assert label_of("wf.root.prepare", []) == "prepare"
