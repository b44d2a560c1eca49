"""TrainJob of an experiment, against the types of Kubeflow Trainer's API."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.access import names
from precisionflow.cluster.trainjob.spec import Launch, own_runtime, speaker, trainjob
from precisionflow.cluster.workspace.trainings import training_key
from precisionflow.config import load
from precisionflow.data.prepare import prepare
from precisionflow.results import identity

TWO_NODES = ("ablation.axes={}", "engine.nodes=2", "engine.ranks=4")


def job_template(name: str, *, labels: dict[str, str], image: str = "upstream/image:1") -> dict[str, Any]:
    pod = {"containers": [{"name": "node", "image": image}]}
    return {"name": name, "template": {"metadata": {"labels": labels}, "spec": {"template": {"spec": pod}}}}


TRAINER = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
TORCH: dict[str, Any] = {
    "metadata": {
        "name": "torch-distributed",
        "labels": {"trainer.kubeflow.org/framework": "torch", "x": "y"},
    },
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {"spec": {"replicatedJobs": [job_template("node", labels=TRAINER)]}},
    },
}
MPI: dict[str, Any] = {
    "metadata": {"name": "deepspeed-distributed"},
    "spec": {
        "mlPolicy": {"numNodes": 1, "mpi": {"mpiImplementation": "OpenMPI", "runLauncherAsNode": True}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    job_template("node", labels={}),
                    job_template("launcher", labels=TRAINER),
                ]
            }
        },
    },
}


def launch_of(*settings: str, run: str = "0123-run", **given: Any) -> Launch:
    experiment = load("quickstart-language", [*TWO_NODES, *settings])
    return Launch(experiment, image="registry.example/train:1", key="0123456789ab", run=run, **given)


def made(runtime: dict[str, Any], launch: Launch) -> tuple[dict[str, Any], dict[str, Any]]:
    own = own_runtime(runtime, launch)
    return own, trainjob(own, launch)


def pods_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The patches of the pods of every job."""
    (patch,) = job["spec"]["runtimePatches"]
    return [
        replicated["template"]["spec"]["template"]
        for replicated in patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    ]


@pytest.mark.parametrize("runtime", [TORCH, MPI], ids=["torch", "mpi"])
@pytest.mark.parametrize(
    "settings",
    [
        (),
        (
            "cluster.train={cpu: 500m, memory: 1Gi, gpus: 2, shared_memory: 8Gi, node_selector: {pool: big},"
            " tolerations: [{key: gpu, effect: NoSchedule}]}",
            "cluster={priority_class: urgent, queue: team, priority: high, pull_secrets: [mine]}",
        ),
    ],
    ids=["plain", "everything"],
)
def test_the_api_knows_every_field(runtime, settings):
    models = pytest.importorskip("kubeflow_trainer_api.models")
    launch = launch_of(
        *settings, owner={"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "u"}
    )
    own, job = made(runtime, launch)
    assert models.TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
    assert models.TrainerV1alpha1TrainingRuntime.from_dict(own).to_dict() == own


def test_a_field_that_the_api_lacks_is_noticed():
    models = pytest.importorskip("kubeflow_trainer_api.models")
    _, job = made(TORCH, launch_of())
    pods_of(job)[0]["spec"]["priorityClassName"] = "urgent"
    assert models.TrainerV1alpha1TrainJob.from_dict(job).to_dict() != job


def test_ranks_are_spread_over_nodes_and_share_their_processors():
    _, job = made(TORCH, launch_of('cluster.train.cpu="6"'))
    trainer = job["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 2)
    assert trainer["command"] == [
        *("python3", "-m", "precisionflow", "train", "/workspace/trainings/0123456789ab/experiment.json"),
        *("--data", "/workspace/trainings/0123456789ab/data"),
        *("--out", "/workspace/trainings/0123456789ab/model", "--keep-failures"),
    ]
    values = {variable["name"]: variable.get("value") for variable in trainer["env"]}
    assert values["OMP_NUM_THREADS"] == "3"
    assert trainer["resourcesPerNode"]["limits"]["cpu"] == "6"
    _, job = made(TORCH, launch_of("cluster.train.cpu=500m"))
    assert {"name": "OMP_NUM_THREADS", "value": "1"} in job["spec"]["trainer"]["env"]


def test_one_node_is_torchrun_s():
    single = launch_of("engine.nodes=1", "cluster.runtime=deepspeed-distributed")
    assert (single.runtime, single.nodes, single.ranks) == ("torch-distributed", 1, 4)
    torch = load("quickstart-regression", ["cluster.runtime=deepspeed-distributed"])
    plain = Launch(torch, image="i", key="k", run="")
    assert (plain.runtime, plain.nodes, plain.ranks) == ("torch-distributed", 1, 1)
    assert launch_of("cluster.runtime=deepspeed-distributed").runtime == "deepspeed-distributed"


def test_mpi_s_ranks_meet_where_mpirun_puts_the_first_of_them():
    own, job = made(MPI, launch_of())
    command = job["spec"]["trainer"]["command"]
    assert command[:5] == ["mpirun", "-n", "4", "--bind-to", "none"]
    assert f"MASTER_ADDR={job['metadata']['name']}-launcher-0-0.{job['metadata']['name']}" in command
    apart = copy.deepcopy(MPI)
    apart["spec"]["mlPolicy"]["mpi"]["runLauncherAsNode"] = False
    name = job["metadata"]["name"]
    assert f"MASTER_ADDR={name}-node-0-0.{name}" in made(apart, launch_of())[1]["spec"]["trainer"]["command"]
    assert (
        command[command.index("python3") :]
        == trainjob(own_runtime(TORCH, launch_of()), launch_of())["spec"]["trainer"]["command"]
    )
    assert "OMP_NUM_THREADS" in command
    assert not any("MLFLOW" in word for word in command)
    images = [
        replicated["template"]["spec"]["template"]["spec"]["containers"][0]["image"]
        for replicated in own["spec"]["template"]["spec"]["replicatedJobs"]
    ]
    assert images == ["registry.example/train:1"] * 2
    assert [speaker(runtime) for runtime in (TORCH, MPI)] == ["node", "launcher"]
    assert len(pods_of(job)) == 2


def test_secrets_are_named_and_never_said():
    _, job = made(TORCH, launch_of())
    sources = {v["name"]: v["valueFrom"] for v in job["spec"]["trainer"]["env"] if "valueFrom" in v}
    assert sources == {
        "MLFLOW_TRACKING_URI": {
            "configMapKeyRef": {"name": names.MLFLOW, "key": "MLFLOW_TRACKING_URI", "optional": True}
        },
        **{
            name: {"secretKeyRef": {"name": names.MLFLOW, "key": name, "optional": True}}
            for name in names.MLFLOW_SECRETS
        },
    }


@pytest.mark.parametrize("runtime", [TORCH, MPI], ids=["torch", "mpi"])
def test_pods_pass_the_restricted_standard(runtime):
    _, job = made(runtime, launch_of())
    for pod in pods_of(job):
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_scheduling_and_memory_are_passed_through():
    launch = launch_of(
        "cluster.train={gpus: 2, gpu_resource: amd.com/gpu, shared_memory: 8Gi, node_selector: {pool: big},"
        " tolerations: [{key: gpu, operator: Equal, value: big, effect: NoSchedule}, {key: spot}]}",
        "cluster.priority_class=urgent",
        "cluster.workspace=other-claim",
        "cluster.deadline_seconds=77",
        "cluster.keep_seconds=99",
    )
    own, job = made(TORCH, launch)
    (pod,) = pods_of(job)
    assert job["spec"]["trainer"]["resourcesPerNode"]["requests"]["amd.com/gpu"] == "2"
    assert pod["spec"]["nodeSelector"] == {"pool": "big"}
    assert pod["spec"]["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "big", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes["workspace"]["persistentVolumeClaim"]["claimName"] == "other-claim"
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    mounts = {m["name"]: m["mountPath"] for m in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {"workspace": "/workspace", "scratch": "/tmp", "shared-memory": "/dev/shm"}
    assert job["spec"]["activeDeadlineSeconds"] == 77
    assert own["spec"]["template"]["spec"]["ttlSecondsAfterFinished"] == 99
    (replicated,) = own["spec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["template"]["spec"]["template"]["spec"]["priorityClassName"] == "urgent"
    assert replicated["template"]["spec"]["backoffLimit"] == 12
    assert replicated["template"]["spec"]["podReplacementPolicy"] == "Failed"


def test_the_runtime_that_was_found_is_left_alone():
    before = copy.deepcopy(TORCH)
    own, job = made(TORCH, launch_of("cluster.priority_class=urgent"))
    assert before == TORCH
    assert own["metadata"]["labels"] == {
        "trainer.kubeflow.org/framework": "torch",
        "app.kubernetes.io/managed-by": "precisionflow",
        names.RUN: "0123-run",
        names.KEY: "0123456789ab",
    }
    assert job["spec"]["runtimeRef"]["name"] == own["metadata"]["name"] == job["metadata"]["name"]


def test_names_leave_room_for_those_of_pods():
    for name in ("a", "9-lives", "x" * 50, "ends-in-dashes-------------------x"):
        job = launch_of(f"name={name}").name
        assert re.fullmatch(r"train-[a-z0-9]([a-z0-9-]*[a-z0-9])?-0123456789ab", job)
        assert len(f"{job}-launcher-0-0-abcde") <= 63


def test_the_key_is_that_of_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    small = ("task.source={kind: scikit_learn_text}", "training.steps=30")
    experiment = load("quickstart-language", [*TWO_NODES, *small])
    prepare([experiment], out=tmp_path)
    key = training_key(experiment, data=tmp_path)
    same = ("engine.ranks=2", "cluster.train.gpus=1", "cluster.runtime=deepspeed-distributed", "name=other")
    others = ("training.steps=31", "seeds=[1]", "engine.zero_stage=2", "model.width=32")
    assert training_key(load("quickstart-language", [*TWO_NODES, *small, *same]), data=tmp_path) == key
    for other in others:
        assert training_key(load("quickstart-language", [*TWO_NODES, *small, other]), data=tmp_path) != key
    with pytest.raises(ValueError, match=r"is not a finished stage; run the stage that writes it first"):
        training_key(experiment, data=tmp_path / "none")
    monkeypatch.setattr(identity, "code_digest", lambda verb: f"edited {verb}")
    assert training_key(experiment, data=tmp_path) != key


def test_a_queue_admits_the_trainjob_whole_and_pods_hold_no_token():
    own, job = made(MPI, launch_of("cluster={queue: team, priority: high, pull_secrets: [mine]}"))
    labels = job["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "team"
    assert labels["kueue.x-k8s.io/priority-class"] == "high"
    assert "kueue.x-k8s.io/queue-name" not in own["metadata"]["labels"]
    for pod in pods_of(job):
        assert "kueue.x-k8s.io/queue-name" not in pod["metadata"]["labels"], "the TrainJob is the workload"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mine"}]
    for replicated in own["spec"]["template"]["spec"]["replicatedJobs"]:
        pod = replicated["template"]["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
