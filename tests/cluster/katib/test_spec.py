"""The Katib experiment that a study becomes: what is sent, and the key by which it is found again."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from precisionflow.cluster.access import names
from precisionflow.cluster.katib.spec import equipped, katib_experiment
from precisionflow.config.cluster import Cluster
from precisionflow.search.study import Study
from tests.studies_of_katib import study


def test_what_is_sent_is_the_file_but_for_place_labels_and_images() -> None:
    given = study()
    kept = copy.deepcopy(given.content)
    sent = katib_experiment(
        given, namespace="here", images={"core": "registry.example/core@sha256:1"}, run="r1"
    )
    assert given.content == kept
    labels = sent["metadata"].pop("labels")
    assert labels == {"team": "a", **names.MANAGED, names.RUN: "r1", names.KEY: labels[names.KEY]}
    assert sent["metadata"] == {"name": "study", "namespace": "here"}
    (container,) = sent["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/core@sha256:1"
    container["image"] = "precisionflow-python-core:0.1.0"
    assert sent["spec"] == given.content["spec"]


def test_the_key_changes_with_the_study_and_with_its_images_only() -> None:
    def key(given: Study, image: str = "a", run: str = "") -> str:
        sent = katib_experiment(given, namespace="here", images={"core": image}, run=run)
        return str(sent["metadata"]["labels"][names.KEY])

    assert key(study()) == key(study(), run="other")
    assert (
        len({key(study()), key(study(), image="b"), key(study(**{"maxTrialCount: 3": "maxTrialCount: 4"}))})
        == 3
    )


def test_images_of_others_stay() -> None:
    given = study(**{"precisionflow-python-core:0.1.0": "quay.io/other/core:1"})
    sent = katib_experiment(given, namespace="here", images={"train": "b"})
    assert "quay.io/other/core:1" in json.dumps(sent)


def job(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return content["spec"]["trialTemplate"]["trialSpec"]


def test_trials_get_what_the_experiment_says_of_the_cluster() -> None:
    cluster = Cluster(queue="team", priority="high", pull_secrets=("mine",))
    given = study().content
    kept = copy.deepcopy(given)
    trial = job(equipped(given, cluster, claim="space"))
    assert given == kept
    assert trial["metadata"]["labels"] == {
        "kueue.x-k8s.io/queue-name": "team",
        "kueue.x-k8s.io/priority-class": "high",
    }
    assert trial["spec"]["template"]["metadata"]["labels"] == names.MANAGED
    pod = trial["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["imagePullSecrets"] == [{"name": "mine"}]
    assert {"name": "workspace", "persistentVolumeClaim": {"claimName": "space"}} in pod["volumes"]
    assert pod["securityContext"]["fsGroup"] == 1000
    (container,) = pod["containers"]
    assert {"name": "workspace", "mountPath": "/workspace"} in container["volumeMounts"]
    assert {"name": "PRECISIONFLOW_DATA", "value": "/workspace/data"} in container["env"]
    kubernetes_validate.validate(
        trial | {"metadata": {**trial["metadata"], "name": "t"}}, "1.34", strict=True
    )


def test_what_a_study_says_of_its_trials_stands() -> None:
    cluster = Cluster(queue="team", pull_secrets=("mine",))
    once = equipped(study().content, cluster, claim="space")
    assert equipped(once, Cluster(queue="other", pull_secrets=("yours",)), claim="w") == once
    plain = job(equipped(study().content, Cluster(), claim=None))
    assert "metadata" not in plain
    assert plain["spec"]["template"]["spec"] == {
        **job(study().content)["spec"]["template"]["spec"],
        "automountServiceAccountToken": False,
    }


def test_a_trial_of_another_kind_waits_in_the_queue_too() -> None:
    content = copy.deepcopy(dict(study().content))
    content["spec"]["trialTemplate"]["trialSpec"] = {"kind": "TrainJob", "spec": {"trainer": {}}}
    trial = job(equipped(content, Cluster(queue="team", pull_secrets=("mine",)), claim="space"))
    labels = {"kueue.x-k8s.io/queue-name": "team"}
    assert trial == {"kind": "TrainJob", "metadata": {"labels": labels}, "spec": {"trainer": {}}}


def test_no_shipped_study_shows_its_trials_a_token_or_leaves_them_open() -> None:
    files = sorted((Path(__file__).parents[3] / "katib").glob("*.yaml"))
    assert files
    for file in files:
        trial = job(yaml.safe_load(file.read_text()))
        if trial["kind"] == "Job":
            assert trial["spec"]["template"]["spec"]["automountServiceAccountToken"] is False, file.name
            assert trial["spec"]["template"]["metadata"]["labels"] == names.MANAGED, file.name
