"""The Katib experiment that a study becomes: what is sent, and the key by which it is found again."""

import copy
import json

from precisionflow.cluster.access import names
from precisionflow.cluster.katib.spec import katib_experiment
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
