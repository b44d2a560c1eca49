"""Runs on a cluster, without one: what is refused before anything is asked, states and logs as they are told,
results copied from a store into the folders of a run on this machine."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import V2beta1Run, V2beta1RuntimeConfig

from precisionflow.cluster.pipelines import results
from precisionflow.cluster.pipelines.ending import told_to_stop
from precisionflow.cluster.pipelines.pods import task_lines
from precisionflow.cluster.pipelines.runs import duration, task_line
from precisionflow.cluster.pipelines.tasks import Task, from_workflow, label_of
from precisionflow.config import resolve
from precisionflow.records.files import write_card
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import finished_key
from precisionflow.search.trials import Best
from tests.command_line import Line
from tests.trained import TABLE, trained

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: away
contexts: [{name: away, context: {cluster: away, user: me, namespace: runs}}]
clusters: [{name: away, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {token: secret}}]
"""


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig of a cluster where nobody answers."""
    from kubernetes.config import kube_config

    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))


MISTAKES = {
    "submit quickstart-regresion": "unknown experiment 'quickstart-regresion'; allowed: ",
    "submit quickstart-regression --set cluster.train.cpu=many": "cluster.train.cpu: given 'many'; should be a Kub",
    "submit quickstart-regression --cron": "Option '--cron' requires an argument.",
    "submit quickstart-regression --cron @daily --wait": "--cron and --wait: a recurring run never ends; leave out",
    "submit quickstart-regression --cron 5": "--cron '5': should have 6 fields, the first seconds: ",
    "submit quickstart-regression --images none.json": "none.json: does not exist; ",
}


@pytest.mark.parametrize("words", MISTAKES)
@pytest.mark.usefixtures("away")
def test_a_mistake_is_told_before_the_cluster_is_asked(words: str, line: Line) -> None:
    assert line.fails(*words.split()).startswith(MISTAKES[words])


@pytest.mark.parametrize(
    "words", ["submit quickstart-regression", "status x", "logs x", "fetch x", "cancel x"]
)
@pytest.mark.usefixtures("away")
def test_a_cluster_that_does_not_answer_is_one_line(words: str, line: Line, tmp_path: Path) -> None:
    code, out, err = line(*words.split())
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "no answer (" in err
    assert "Connection refused" in err
    assert err.endswith("`precisionflow doctor` says what is wrong\n")
    assert "secret" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["kubeconfig"]
    code, _, err = line(*words.split(), "--context", "other")
    assert (code, err.count("\n")) == (3, 1)
    assert "other" in err


def node(name: str, phase: str, **more: Any) -> dict[str, Any]:
    return {"name": f"wf.root.{name}", "phase": phase, "startedAt": "2026-01-01T00:00:00Z", **more}


def driver(name: str, *, cached: bool) -> dict[str, Any]:
    decision = {"name": "cached-decision", "value": json.dumps(cached)}
    return node(f"{name}-driver", "Succeeded", outputs={"parameters": [decision]})


def workflow(*nodes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"nodes": {str(number): one for number, one in enumerate(nodes)}}}


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
        variants=["one", "other"],
    )
    assert {task.label: (task.state, task.message, len(task.failed_tries)) for task in found} == {
        "prepare": ("cached", "", 0),
        "train other": ("waiting", quota, 1),
        "report": ("failed", "gone", 1),
        "evaluate-driver": ("failed", "no such host", 0),
    }


def test_a_workflow_that_was_told_to_stop() -> None:
    assert told_to_stop(workflow(activeDeadlineSeconds=0))
    assert told_to_stop(workflow(shutdown="Terminate"))
    assert not told_to_stop(workflow(activeDeadlineSeconds=60))
    assert not told_to_stop(workflow())


def test_names_of_tasks() -> None:
    place = "wf.root.exit-handler-1.for-loop-2.iteration-iterations({}).iteration-item.train.executor(2)"
    assert label_of(place.format("1:1"), ["one", "other"]) == "train other"
    assert label_of(place.format("7:7"), ["one", "other"]) == "train 8"
    assert label_of("wf.root.prepare", []) == "prepare"


def test_lines_of_tasks() -> None:
    assert task_line(Task("train a", "cached")) == "train a: taken from the cache"
    assert task_line(Task("train a", "running", "x", ("0", "1"), ("0",))) == "train a: running, try 2"
    assert task_line(Task("train a", "failed", "no\n node")) == "train a: failed: no node"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.9, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3725, "1 h 2 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_log_without_what_surrounds_the_task() -> None:
    log = """time="2026-11-23T05:34:51.762Z" level=info msg="capturing logs" argo=true
I1123 05:34:51.880670      15 main.go:61] Setting log level to: '1'
[KFP Executor 2026-11-23 05:34:52,228 INFO]: Got executor_input:
{
    "inputs": {"text": "precisionflow: error: not said by us"}
}
precisionflow: train a: step 1
Traceback: mine
I1123 05:34:58.091375      15 launcher_v2.go:877] ExecutorOutput: {
  "artifacts": {}
}
"""
    assert task_lines(log) == ["precisionflow: train a: step 1", "Traceback: mine"]


class Folder:
    """A store whose addresses are paths below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.downloads = 0

    def keys(self, address: str) -> list[str]:
        place = self.root / address
        return sorted(str(file.relative_to(place)) for file in place.rglob("*") if file.is_file())

    def read(self, address: str) -> bytes:
        return (self.root / address).read_bytes()

    def download(self, address: str, path: Path) -> None:
        self.downloads += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / address, path)


def test_results_go_where_a_run_on_this_machine_has_them(tmp_path: Path) -> None:
    """Data and weights of an earlier run, which the report lists; the rest of this one."""
    small = {"seeds": [0], "splits": [0, 1], "training.steps": 2, "training.validate_every": 1}
    experiment, data, model = trained(TABLE, tmp_path / "here", **small)
    store, out = Folder(tmp_path / "store"), tmp_path / "out"
    shutil.copytree(data, store.root / "old" / "prepare" / "1" / "data")
    shutil.copytree(model, store.root / "old" / "train" / "2" / "model")
    (store.root / "new" / "report" / "3" / "results").mkdir(parents=True)
    listed = ["old/train/2/model", "old/prepare/1/data"]
    (store.root / "new" / "report" / "3" / "results" / "contents.json").write_text(json.dumps(listed))
    assert results.addresses(store, "new") == [*listed, "new/report/3/results"]
    known = {(experiment.name, experiment.dataset, experiment.variant)}
    assert results.copy(store, "new", variants=known, out=out) == (4, 0)
    for seed, split in ((0, 0), (0, 1)):
        where = ("model", experiment.name, experiment.dataset, experiment.variant)
        assert finished_key(cell_folder(out.joinpath(*where), seed, split))
    assert sorted(str(f.relative_to(out / "data")) for f in (out / "data").rglob("*")) == sorted(
        str(f.relative_to(data)) for f in data.rglob("*")
    )
    before = store.downloads
    assert results.copy(store, "new", variants=known, out=out) == (0, 4)
    assert store.downloads == before
    (out.joinpath(*where) / "seed-0-split-0" / "stage.json").unlink()
    assert results.copy(store, "new", variants=known, out=out) == (1, 3)


def test_what_belongs_to_no_variant_of_the_run_is_left_alone(tmp_path: Path) -> None:
    experiment, _, model = trained(TABLE, tmp_path / "here", seeds=[0], splits=[0], **{"training.steps": 20})
    store = Folder(tmp_path / "store")
    shutil.copytree(model, store.root / "run" / "train" / "1" / "model")
    assert resolve(experiment.model_dump(mode="json")).variant == "default"
    assert results.copy(store, "run", variants=set(), out=tmp_path / "out") == (0, 0)
    assert not (tmp_path / "out").exists()


def test_a_search_is_copied_once_and_says_its_best(tmp_path: Path) -> None:
    store, out = Folder(tmp_path / "store"), tmp_path / "out" / "search"
    assert results.copy_search(store, "run", out=out) is None
    folder = store.root / "run" / "launch-search" / "7" / "trials"
    (folder / "report").mkdir(parents=True)
    best = Best(study="s", trial="t", settings=("training.steps=7",), metric="nll", value=1.0, trials=2)
    write_card(best, folder / "best.json")
    (folder / "report" / "search.html").write_text("page")
    assert results.copy_search(store, "run", out=out) == best
    assert (out / "report" / "search.html").read_text() == "page"
    before = store.downloads
    assert results.copy_search(store, "run", out=out) == best
    assert store.downloads == before == 2
    write_card(best.model_copy(update={"trials": 3}), folder / "best.json")
    assert results.copy_search(store, "run", out=out).trials == 3


def test_what_a_run_trains(tmp_path: Path) -> None:
    """A run of experiments names them; one that neither has nor searches for them is somebody else's."""
    text = resolve(TABLE).model_dump_json()
    ours = V2beta1Run(
        display_name="mine", runtime_config=V2beta1RuntimeConfig(parameters={"experiments": [text]})
    )
    nobody: Any = None
    assert results.experiments_of(ours, out=tmp_path, connection=nobody) == [resolve(TABLE)]
    other = V2beta1Run(
        display_name="other", runtime_config=V2beta1RuntimeConfig(parameters={"experiment": text})
    )
    with pytest.raises(ValueError, match=r"^run other: is not a run of precisionflow"):
        results.experiments_of(other, out=tmp_path, connection=nobody)
