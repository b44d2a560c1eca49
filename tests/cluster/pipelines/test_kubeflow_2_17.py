"""status, logs, fetch and doctor of the command line against what KFP 2.17 with Argo 4 answers."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from precisionflow.pipelines.compiled import compile_experiment

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.port_forward import _target
from precisionflow.cluster.pipelines import follow
from precisionflow.cluster.pipelines import object_store as room
from precisionflow.config import parse
from precisionflow.results.layout import Results
from tests.command_line import AXES, TINY, Line
from tests.every_stage import through_every_stage
from tests.invented_cluster import NAMESPACE, Json, listed
from tests.invented_kubeflow import API, BUCKET, PIPELINE, RUN, VERSION, Kubeflow
from tests.invented_store import store

IMAGES = {"core": "registry.example/core:1", "train": "registry.example/train:1"}


class Installed(NamedTuple):
    kubeflow: Kubeflow
    objects: dict[str, bytes]
    results: Path
    """What the run has computed."""


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("computed")
    through_every_stage(parse(TINY + AXES), Results(folder / "results"))
    compile_experiment(parse(TINY + AXES), images=IMAGES, folder=folder)
    return folder


@pytest.fixture
def installed(computed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """A cluster in the kubeconfig, with a store that answers at SeaweedFS's port for S3 alone."""
    from kubernetes.config import kube_config

    kubeflow = Kubeflow(tmp_path, computed / "tiny.yaml", variants=2)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeflow.kubeconfig))
    objects = kubeflow.objects(computed / "results")
    with kubeflow.running(), store(objects, region="minio", key="minio") as address:

        @contextlib.contextmanager
        def forwarded(connection: Connection, **service: str) -> Iterator[str]:
            _, port = _target(connection, **service)
            yield address if port == 8333 else "127.0.0.1:9"

        monkeypatch.setattr(room, "forwarded", forwarded)
        yield Installed(kubeflow, objects, computed / "results")


STATUS = """\
run mine (5f2c0d1e-run): succeeded after 2 min 5 s
  prepare: taken from the cache
  train one: done
  evaluate one: done
  train other: done
  evaluate other: done
  aggregate: done
  report: done
  register: done
  finish: done
"""
LATER = """\
run mine (5f2c0d1e-run): succeeded after 2 min 5 s
  prepare: done
  train 1: done
  evaluate 1: done
  train 2: done
  evaluate 2: done
  aggregate: done
  report: done
  register: done
  finish: done
"""


def test_status_names_tasks_and_variants(installed: Installed, line: Line) -> None:
    assert line("status", "mine") == (0, STATUS, "")
    assert line("status", "5f2c0d1e-run") == (0, STATUS, "")
    installed.kubeflow.remove_workflow()
    assert line("status", "mine") == (0, LATER, "")


def test_status_says_behind_how_many_a_task_waits(installed: Installed, line: Line) -> None:
    kubeflow = installed.kubeflow
    train = "exit-handler-1.for-loop-1.iteration-iterations(1:1).iteration-item.train"
    kubeflow.answers[f"{API}/runs/{RUN}"]["state"] = "RUNNING"
    (workflow,) = kubeflow.answers["/apis/argoproj.io/v1alpha1/namespaces/runs/workflows"]["items"]
    for node in workflow["status"]["nodes"].values():
        if node["name"].endswith(train):
            node["phase"] = "Running"
        if node["name"].endswith((f"{train}.executor", f"{train}.executor(0)")):
            node["phase"] = "Pending"
    of_train = f"{train}.executor(0)"
    for pod in kubeflow.answers[f"{NAMESPACE}/pods"]["items"]:
        if pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"].endswith(of_train):
            gate = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
            pod["status"] = {"phase": "Pending", "conditions": [gate]}
            pod["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "team"
            owner = {"kind": "Pod", "name": pod["metadata"]["name"]}
    order = "/apis/visibility.kueue.x-k8s.io"
    waiting = {"metadata": {"ownerReferences": [owner]}, "positionInClusterQueue": 4}
    kubeflow.answers[order] = {"preferredVersion": {"version": "v1beta1"}}
    kubeflow.answers[f"{order}/v1beta1/namespaces/runs/localqueues/team/pendingworkloads"] = listed(waiting)
    said = line("status", "mine").out.splitlines()
    assert "  train other: queued in team behind 4" in said
    assert "  train one: done" in said


def test_logs_of_pods_and_then_of_the_store(installed: Installed, line: Line) -> None:
    code, out, err = line("logs", "mine", "--task", "train")
    assert (code, err) == (0, "")
    said = [text for text in out.splitlines() if text.startswith("== ")]
    assert [text.split(" (")[0] for text in said] == ["== train one", "== train one", "== train other"]
    assert out.count("precisionflow: said by run-pod-") == 3
    installed.kubeflow.remove_workflow()
    expected = "== train (stored)\nlost\n== train (stored, try 2)\nprecisionflow: train step 2/2\n"
    assert line("logs", "mine", "--task", "train") == (0, expected, "")
    assert line.fails("logs", "mine", "--task", "dance").startswith(
        "run mine: no task whose name begins with 'd"
    )


def test_fetch_brings_what_the_run_has_computed(installed: Installed, line: Line, tmp_path: Path) -> None:
    code, out, err = line("fetch", "mine", "--out", "there")
    assert (code, err) == (0, "")
    assert "run mine: succeeded after 2 min 5 s; 7 results fetched, 0 were here" in out
    for name in ("data", "model", "evaluation", "aggregate", "report"):
        ours = {file.relative_to(installed.results): file for file in (installed.results / name).rglob("*")}
        assert ours
        for path, file in ours.items():
            assert not file.is_file() or (tmp_path / "there" / path).read_bytes() == file.read_bytes()
    installed.kubeflow.remove_workflow()
    assert "0 results fetched, 7 were here" in line("fetch", "mine", "--out", "there").out


@pytest.mark.usefixtures("installed")
def test_an_unknown_run_is_one_line(line: Line) -> None:
    for words in (("status", "yours"), ("logs", "yours"), ("fetch", "yours")):
        assert line.fails(*words) == "unknown run 'yours'; the last ones are: mine"


@pytest.mark.usefixtures("installed")
def test_the_doctor_finds_nothing_to_mend(line: Line, tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text('{"core": "core:1", "train": "train:1"}')
    code, out, err = line("doctor", "--images", "images.json")
    assert (code, err) == (0, ""), out
    assert "ok   object store: minio://mlpipeline/v2/artifacts, seaweedfs in runs, port 9000, 1 ready" in out
    assert not [text for text in out.splitlines() if text.startswith("bad ")]


def expiring(kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, *, renewed_after: int) -> list[str]:
    """A run that goes on, and a token that expires after the first sight of it: the kubeconfig's user logs in again
    when so many requests were refused. What the requests showed is in the list.
    """
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(follow, "SILENCES", 4)
    answered, shown = kubeflow.answer, list[str]()
    run = kubeflow.answers[f"{API}/runs/{RUN}"]
    run["state"] = "RUNNING"

    def answer(verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        shown.append(kubeflow.headers["Authorization"])
        seen = f"{NAMESPACE}/pods" in paths
        paths.append(path)
        if seen and shown[-1] != "Bearer new":
            if paths.count("refused") == renewed_after:
                text = kubeflow.kubeconfig.read_text()
                kubeflow.kubeconfig.write_text(text.replace("token: t", "token: new"))
                run["state"] = "SUCCEEDED"
            paths.append("refused")
            return 401, {"message": "Unauthorized"}
        return answered(verb, path, query=query, body=body)

    paths: list[str] = []
    monkeypatch.setattr(kubeflow, "answer", answer)
    return shown


def test_who_logs_in_again_goes_on_following(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, screen = expiring(installed.kubeflow, monkeypatch, renewed_after=2), io.StringIO()
    assert follow.follow(RUN, connection=Connection(), screen=screen)
    assert screen.getvalue().endswith("run mine: succeeded after 2 min 5 s\n")
    assert {"Bearer t", "Bearer new"} == set(shown)


def test_a_token_that_stays_expired_is_one_line(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring(installed.kubeflow, monkeypatch, renewed_after=99)
    told = (
        r"^\S.*: not logged in \(Unauthorized\); log in again or renew the token in the kubeconfig; the run goes on, "
        r"`precisionflow status mine` says how far it is$"
    )
    with pytest.raises(ClusterError, match=told):
        follow.follow(RUN, connection=Connection(), screen=io.StringIO())


@pytest.mark.usefixtures("installed")
def test_data_is_listed_by_name_size_and_sha256(line: Line) -> None:
    (Path("images.json")).write_text('{"core": "core:1", "train": "train:1"}')
    room = "1 files, 1.2 kB; 3.0 GB of 5.0 GB free in workspace precisionflow-workspace\n"
    assert line("data", "list", "--images", "images.json").out == f"beams.csv: 1.2 kB\n{room}"
    digested = line("data", "list", "--digests", "--images", "images.json").out
    assert digested == f"beams.csv: 1.2 kB, sha256 {'0' * 64}\n{room}"


def job(name: str, *, key: str, condition: str | None) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "precisionflow", "precisionflow.org/key": key}
    ended = {"type": condition, "status": "True", "lastTransitionTime": "2026-07-08T10:00:00Z"}
    status = {"conditions": [ended] if condition else []}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def lone(name: str, *, phase: str, owner: bool = False) -> Json:
    """A pod of ours."""
    ended = {"exitCode": 0, "finishedAt": "2026-07-08T10:00:00Z"}
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-07-08T09:00:00Z",
            "ownerReferences": [{"kind": "Workflow"}] if owner else [],
        },
        "status": {"phase": phase, "containerStatuses": [{"state": {"terminated": ended}}]},
    }


def test_gc_removes_pods_of_commands_that_were_killed(installed: Installed, line: Line) -> None:
    kubeflow = installed.kubeflow
    kubeflow.answers[f"{NAMESPACE}/pods app.kubernetes.io/managed-by=precisionflow"] = listed(
        lone("precisionflow-killed-1", phase="Failed"),
        lone("precisionflow-works-2", phase="Running"),
        lone("task-of-a-run", phase="Succeeded", owner=True),
    )
    said = line("gc", "--dry-run").out
    assert re.search(r"^pods/precisionflow-killed-1: \d+ days old$", said, re.MULTILINE)
    assert said.count("pods/") == 1
    assert "precisionflow-killed-1" not in kubeflow.removed
    assert line("gc").code == 0
    assert "precisionflow-killed-1" in kubeflow.removed
    assert not {"precisionflow-works-2", "task-of-a-run"} & set(kubeflow.removed)


def test_gc_removes_what_is_old_and_nobodys(installed: Installed, line: Line) -> None:
    kubeflow, objects = installed.kubeflow, installed.objects
    kubeflow.answers |= {
        "/apis/trainer.kubeflow.org/v1alpha1/namespaces/runs/trainjobs": listed(
            job("train-old", key="a", condition="Complete"), job("train-busy", key="b", condition=None)
        ),
        "/apis/kubeflow.org/v1beta1/namespaces/runs/experiments": listed(
            job("rates", key="c", condition="Succeeded")
        ),
    }
    (contents,) = [name for name in objects if name.endswith("contents.json")]
    mine = json.loads(objects[contents])
    objects[contents] = json.dumps([*mine, f"minio://{BUCKET}/tiny/reused/train/u1/model"]).encode()
    for run in ("gone", "reused"):
        objects[f"{BUCKET}/tiny/{run}/train/u1/model/seed-0-split-0/stage.json"] = b"{}"
    objects[f"{BUCKET}/tiny/gone/train/u1/executor-logs-0"] = b"step 1"
    objects[f"{BUCKET}/others/gone/task/u1/model"] = b"theirs"
    before = dict(objects)
    code, out, err = line("gc", "--dry-run")
    assert (code, err) == (0, "")
    said, (*lines, last) = out, out.splitlines()
    assert [re.sub(r"\d+ days", "N days", text) for text in lines] == [
        "trainjobs/train-old: N days old",
        "experiments/rates: N days old",
        "workspace precisionflow-workspace: trainings/0123: 5.0 MB, N days old",
        f"artifacts minio://{BUCKET}/tiny/gone: 8 bytes, N days old",
    ]
    assert last == "4 leftovers of 30 days or more would be removed, 5.0 MB"
    assert objects == before
    assert all(name.startswith("precisionflow-data-") for name in kubeflow.removed)
    words = kubeflow.made[-1]["spec"]["containers"][0]["command"]
    assert words[-4:] == ["collect", "2592000.0", "dry", "b"]
    assert line("gc").out == said.replace("would be removed", "removed")
    assert [name for name in kubeflow.removed if not name.startswith("precisionflow-data-")] == [
        "train-old",
        "rates",
    ]
    assert {name for name in before if name not in objects} == {
        f"{BUCKET}/tiny/gone/train/u1/model/seed-0-split-0/stage.json",
        f"{BUCKET}/tiny/gone/train/u1/executor-logs-0",
    }
    assert line("gc", "--days", "4000").out.endswith(
        "\n1 leftovers of 4000 days or more removed, 5.0 MB\n"
    ), "what the pod says"


def test_what_gc_cannot_look_at_is_told_and_the_rest_goes_on(installed: Installed, line: Line) -> None:
    kept = dict(installed.objects)
    installed.kubeflow.status["/apis/trainer.kubeflow.org/v1alpha1/namespaces/runs/trainjobs"] = 403
    code, out, err = line("gc")
    assert code == 3
    assert out == "0 leftovers of 30 days or more removed, 0 bytes\n"
    assert err.count("precisionflow: looking for trainjobs: forbidden (") == 2, "jobs, and who is busy"
    assert installed.objects == kept


def test_gc_removes_nothing_while_kfp_itself_is_not_reached(installed: Installed, line: Line) -> None:
    """A proxy that finds no KFP answers 404 too."""
    kept = dict(installed.objects)
    installed.kubeflow.status[f"{API}/runs/{RUN}"] = 410
    code, _, err = line("gc", "--days", "0")
    assert code == 3
    assert f"looking for run {RUN}: " in err
    assert installed.objects == kept


def test_what_a_run_has_done_is_not_run_again_unless_it_gets_a_name(
    installed: Installed, line: Line, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY + AXES)
    exact = {name: f"registry.example/{name}:0.1.0-0123456789ab" for name in ("core", "train")}
    (tmp_path / "images.json").write_text(json.dumps(exact))
    installed.kubeflow.answers |= {
        f"{API}/pipelines": {"pipelines": [{"pipeline_id": PIPELINE}]},
        f"{API}/pipelines/{PIPELINE}/versions": {"pipeline_versions": [{"pipeline_version_id": VERSION}]},
        f"{API}/experiments": {"experiments": [{"experiment_id": "e"}]},
    }
    words = ("submit", str(tmp_path / "tiny.yaml"), "--images", str(tmp_path / "images.json"))
    code, out, err = line(*words, "--wait")
    assert (code, err) == (0, "")
    assert out.splitlines()[-3:] == [
        f"run mine ({RUN}) has succeeded with this experiment, these images and this data; nothing is run",
        "a run all the same, which completes what MLflow lacks: --run-name NAME",
        "results: precisionflow fetch mine",
    ]
    assert installed.kubeflow.made == []
    code, out, err = line(*words, "--run-name", "other")
    assert (code, err) == (0, "")
    assert "nothing is run" not in out
    assert [one["display_name"] for one in installed.kubeflow.made] == ["other"]
