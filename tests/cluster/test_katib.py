"""Studies on Katib: what is sent, what comes back, and every way to fail, on a real cluster where there is one."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.katib.api import INJECTION, KatibExperiments, resource
from precisionflow.cluster.katib.run import run_on_katib
from precisionflow.cluster.katib.watch import last_words
from precisionflow.records.files import read_card, read_parquet
from precisionflow.search.trials import TRIALS, Best

STUDY = """
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: study, labels: {team: a}}
spec:
  objective: {type: minimize, objectiveMetricName: nll, additionalMetricNames: [crps]}
  algorithm: {algorithmName: random}
  parallelTrialCount: 2
  maxTrialCount: 3
  maxFailedTrialCount: 1
  parameters:
  - {name: lr, parameterType: discrete, feasibleSpace: {list: ["0.25", "0.5"]}}
  - {name: decay, parameterType: double, feasibleSpace: {min: "0.0", max: "0.1"}}
  trialTemplate:
    retain: true
    primaryContainerName: training
    trialParameters:
    - {name: rate, reference: lr, description: ""}
    - {name: weightDecay, reference: decay, description: ""}
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec:
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            containers:
            - name: training
              image: precisionflow-python-core:0.1.0
              command:
              - sh
              - -c
              - >-
                { : --set training.learning_rate=${trialParameters.rate}
                --set training.weight_decay=${trialParameters.weightDecay} --set training.steps=3;
                echo nll=9; sleep 3; echo nll=${trialParameters.rate}; echo crps=1e-3; }
"""


def study(**changes: str) -> dict[str, Any]:
    text = STUDY
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return yaml.safe_load(text)


def test_what_is_sent_is_the_file_but_for_place_labels_and_images() -> None:
    given = study()
    kept = copy.deepcopy(given)
    sent = resource(given, namespace="here", images={"core": "registry.example/core@sha256:1"}, run="r1")
    assert given == kept
    labels = sent["metadata"].pop("labels")
    assert labels == {"team": "a", **names.MANAGED, names.RUN: "r1", names.KEY: labels[names.KEY]}
    assert sent["metadata"] == {"name": "study", "namespace": "here"}
    (container,) = sent["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/core@sha256:1"
    container["image"] = "precisionflow-python-core:0.1.0"
    assert sent["spec"] == given["spec"]


def test_the_key_changes_with_the_study_and_with_its_images_only() -> None:
    def key(tree: dict[str, Any], image: str = "a", run: str = "") -> str:
        sent = resource(tree, namespace="here", images={"core": image}, run=run)
        return str(sent["metadata"]["labels"][names.KEY])

    assert key(study()) == key(study(), run="other")
    assert (
        len({key(study()), key(study(), image="b"), key(study(**{"maxTrialCount: 3": "maxTrialCount: 4"}))})
        == 3
    )


def test_images_of_others_stay() -> None:
    tree = study(**{"precisionflow-python-core:0.1.0": "quay.io/other/core:1"})
    sent = resource(tree, namespace="here", images={"train": "b"})
    assert "quay.io/other/core:1" in json.dumps(sent)


def test_last_words_are_the_trials_own() -> None:
    log = (
        "I1123 05:55:00.259884      21 main.go:400] Trial Name: study-x\n"
        "I1123 05:55:00.405338      21 main.go:143] precisionflow: error: train: too hot; cool it\n"
        "I1123 05:55:00.405339      21 main.go:143] bye\n"
        "F1123 05:55:01.405348      21 main.go:421] Failed to wait for worker container\n"
    )
    assert last_words(log) == "train: too hot; cool it"
    assert last_words(log.replace("precisionflow: error: ", "")) == "bye"
    assert last_words(log.splitlines()[0]) is None


@pytest.fixture(scope="module")
def room(kubeconfig: Path) -> Iterator[Connection]:  # noqa: ARG001 - reaches the cluster
    """A namespace of its own whose trials Katib listens to."""
    from kubernetes.client import CoreV1Api

    name = f"precisionflow-test-{uuid.uuid4().hex[:8]}"
    core = CoreV1Api(Connection().api)
    core.create_namespace({"metadata": {"name": name, "labels": {INJECTION: "enabled"}}})
    try:
        yield Connection(Access(namespace=name))
    finally:
        core.delete_namespace(name)


def run(
    tree: dict[str, Any], room: Connection, out: Path, *, images: Mapping[str, str], **rest: Any
) -> tuple[Best, list[str]]:
    lines: list[str] = []
    best = run_on_katib(tree, connection=room, images=images, out=out, say=lines.append, **rest)
    return best, lines


def fails(
    tree: dict[str, Any], room: Connection, out: Path, *, images: Mapping[str, str], **rest: Any
) -> str:
    with pytest.raises(ClusterError) as caught:
        run(tree, room, out, images=images, **rest)
    assert not list(out.iterdir())
    return str(caught.value)


def test_the_best_settings_come_back_typed_and_a_second_call_takes_them(
    room: Connection, images: Mapping[str, str], tmp_path: Path
) -> None:
    best, lines = run(study(), room, tmp_path / "first", images=images)
    assert len([line for line in lines if " succeeded: nll " in line]) == 3
    rows = read_parquet(tmp_path / "first" / "trials.parquet", TRIALS).to_pylist()
    assert {row["state"] for row in rows} == {"succeeded"}
    assert {json.loads(row["metrics"])["crps"] for row in rows} == {1e-3}
    assert all(row["seconds"] > 0 for row in rows)
    assert best.value == min(row["value"] for row in rows)
    rate, decay = best.settings
    assert rate == f"training.learning_rate={best.value:g}"
    assert decay.startswith("training.weight_decay=0.0")
    assert read_card(tmp_path / "first" / "best.json", Best) == best

    again, lines = run(study(), room, tmp_path / "second", images=images)
    assert again == best
    assert lines[0] == "Katib experiment study has finished"

    other = study(**{"maxTrialCount: 3": "maxTrialCount: 4"})
    (tmp_path / "third").mkdir()
    assert "has another Katib experiment study; choose another metadata.name" in fails(
        other, room, tmp_path / "third", images=images
    )


def test_a_killed_client_is_followed_by_the_next(
    room: Connection, images: Mapping[str, str], tmp_path: Path
) -> None:
    tree = study(**{"name: study": "name: killed"})
    program = (
        "import json, pathlib, sys\n"
        "from precisionflow.cluster.access.connection import Access, Connection\n"
        "from precisionflow.cluster.katib.run import run_on_katib\n"
        "tree, images, out, namespace = map(json.loads, sys.argv[1:])\n"
        "run_on_katib(tree, connection=Connection(Access(namespace=namespace)), images=images, "
        "out=pathlib.Path(out), say=lambda line: print(line, flush=True))\n"
    )
    arguments = [json.dumps(a) for a in (tree, dict(images), str(tmp_path / "first"), room.namespace)]
    client = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline().startswith("Katib experiment killed in namespace")
    os.kill(client.pid, signal.SIGKILL)
    client.communicate()
    best, lines = run(tree, room, tmp_path / "second", images=images)
    assert lines[0] == "Katib experiment killed is there already, following it"
    assert best.trials == 3


def test_a_failing_trial_says_why_and_mended_it_runs(
    room: Connection, images: Mapping[str, str], tmp_path: Path
) -> None:
    broken = study(
        **{
            "name: study": "name: broken",
            "sleep 3;": "sleep 2; echo precisionflow: error: train: no; exit 2;",
        }
    )
    message = fails(broken, room, tmp_path, images=images)
    assert message.startswith("Katib experiment broken failed, ")
    assert ": train: no; mend that and run again" in message


def test_an_image_that_is_not_there_is_told_and_nothing_stays(room: Connection, tmp_path: Path) -> None:
    tree = study(**{"name: study": "name: imageless"})
    message = fails(tree, room, tmp_path, images={"core": "no.such.example/core:1"}, patience=5)
    assert "image no.such.example/core:1 cannot be pulled" in message
    end = time.monotonic() + 60
    while KatibExperiments(room).get("imageless") and time.monotonic() < end:
        time.sleep(0.5)
    assert KatibExperiments(room).get("imageless") is None


def test_what_katib_refuses_is_a_line_and_nothing_is_made(room: Connection, tmp_path: Path) -> None:
    tree = study(**{"name: study": "name: refused", "algorithmName: random": "algorithmName: none-such"})
    message = fails(tree, room, tmp_path, images={})
    assert message.startswith("Katib refuses experiment refused (spec.algorithm.algorithmName: ")
    assert KatibExperiments(room).get("refused") is None


@pytest.mark.usefixtures("kubeconfig")
def test_a_namespace_without_the_label_is_told_how_to_mend(tmp_path: Path) -> None:
    bare = Connection(Access(namespace="default"))
    message = fails(study(), bare, tmp_path, images={})
    assert message.endswith(f"say `kubectl label namespace default {INJECTION}=enabled`")
    assert KatibExperiments(bare).get("study") is None
