"""A TrainJob that the cluster refuses or has no runtime for: told in one line, and nothing is left."""

from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.kinds import TRAINJOBS
from precisionflow.cluster.trainjob.api import TrainJobs
from precisionflow.cluster.trainjob.launch import train_on_nodes
from precisionflow.cluster.trainjob.spec import Launch
from precisionflow.config import load
from precisionflow.data.prepare import prepare
from tests.invented_cluster import Table

TINY = ("ablation.axes={}", "engine.nodes=2", "training.steps=30", "seeds=[0]")
GROUP = "/apis/trainer.kubeflow.org/v1alpha1"
HERE = f"{GROUP}/namespaces/here"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/here/networkpolicies"


def runtime(name: str) -> dict[str, Any]:
    pod = {"containers": [{"name": "node", "image": "i"}]}
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    spec = {"mlPolicy": {"torch": {}}, "template": {"spec": {"replicatedJobs": [job]}}}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture
def installed(table: Table) -> Table:
    """An API server with the Trainer, without TrainJobs."""
    table.answers |= {
        ("GET", f"{HERE}/trainjobs"): (200, {"items": []}),
        ("GET", f"{HERE}/trainingruntimes"): (200, {"items": []}),
        ("GET", f"{GROUP}/clustertrainingruntimes"): (200, {"items": [runtime("torch-distributed")]}),
        ("GET", "/api/v1/namespaces/here/pods"): (200, {"items": []}),
        ("POST", f"{HERE}/trainingruntimes"): (201, {}),
        ("POST", POLICIES): (201, {}),
    }
    return table


def refused(table: Table, folder: Path, *settings: str) -> str:
    experiment = load("quickstart-language", [*TINY, *settings])
    prepare([experiment], out=folder / "data")
    (folder / "workspace").mkdir()
    with pytest.raises(ClusterError) as caught:
        train_on_nodes(
            experiment,
            data=folder / "data",
            out=folder / "out",
            image="i",
            run="r",
            connection=table.connection(),
            workspace=folder / "workspace",
        )
    assert "\n" not in str(caught.value)
    assert not (folder / "out").exists()
    return str(caught.value)


def test_without_the_trainer(table: Table, tmp_path: Path):
    assert refused(table, tmp_path).startswith(
        "Kubeflow Trainer is not installed: the API has no trainer.kubeflow.org/v1alpha1; "
    )


def test_without_the_runtime(installed: Table, tmp_path: Path):
    message = refused(installed, tmp_path, "cluster.runtime=deepspeed-distributed")
    assert "no ClusterTrainingRuntime 'deepspeed-distributed' (there are: torch-distributed)" in message


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (403, 'User "x" cannot create resource "trainjobs"', r"forbidden \(User .*; ask for that right"),
        (
            403,
            "exceeded quota: few, used: count/trainjobs=1",
            r"exceeded quota: few.*; wait for others to finish",
        ),
        (401, "Unauthorized", r"not logged in .*renew the token"),
        (
            403,
            'admission webhook "v" denied the request: spec.trainer.numNodes: Invalid value: 0',
            r'refused \(admission webhook "v" denied .*; mend what it names$',
        ),
    ],
)
def test_a_refused_trainjob_leaves_no_runtime_and_no_policy(
    status: int, said: str, message: str, installed: Table, tmp_path: Path
):
    installed.answers["POST", f"{HERE}/trainjobs"] = (status, {"message": said})
    with pytest.raises(ClusterError, match=message):
        raise ClusterError(refused(installed, tmp_path))
    after = installed.asked[installed.asked.index(("POST", f"{HERE}/trainingruntimes")) :]
    for place in (f"{HERE}/trainingruntimes/", f"{POLICIES}/"):
        assert [verb for verb, path in after if path.startswith(place)] == ["DELETE"]


def test_a_trainjob_is_made_again_while_the_trainer_has_not_seen_its_runtime(installed: Table):
    unseen = (
        'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: spec.runtimeRef: '
        'Invalid value: TrainingRuntime.trainer.kubeflow.org "train-x" not found'
    )
    place = ("POST", f"{HERE}/trainjobs")
    installed.first[place] = (403, {"message": unseen})
    made = {"apiVersion": TRAINJOBS.api_version, "kind": "TrainJob", "metadata": {"name": "x", "uid": "u"}}
    installed.answers[place] = (201, made)
    launch = Launch(load("quickstart-language", TINY), image="i", key="k", run="r")
    for kind, of in (("trainingruntimes", HERE), ("networkpolicies", POLICIES.rpartition("/")[0])):
        installed.answers["PATCH", f"{of}/{kind}/{launch.name}"] = (200, {})
    job = TrainJobs(installed.connection()).make(launch, found=runtime("torch-distributed"))
    assert job["metadata"]["uid"] == "u"
    assert installed.asked.count(place) == 2
    assert not [verb for verb, _ in installed.asked if verb == "DELETE"]


def test_without_the_right_to_shield_its_pods_nothing_is_made(installed: Table, tmp_path: Path):
    installed.answers["POST", POLICIES] = (403, {"message": "cannot create resource networkpolicies"})
    told = refused(installed, tmp_path)
    assert "forbidden (cannot create resource networkpolicies); ask for that right, manifests/ has" in told
    assert not [path for verb, path in installed.asked if verb == "POST" and path != POLICIES]


def test_a_workspace_that_is_not_mounted(tmp_path: Path):
    experiment = load("quickstart-language", TINY)
    with pytest.raises(
        ClusterError, match=r"is not mounted; mount PersistentVolumeClaim precisionflow-workspace$"
    ):
        train_on_nodes(
            experiment, data=tmp_path, out=tmp_path, image="i", run="", workspace=tmp_path / "none"
        )
