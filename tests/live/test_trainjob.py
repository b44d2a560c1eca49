"""Training on two nodes of a real cluster: the same losses, deleted pods, asked to end, refusals."""

import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.kinds import TRAINJOBS
from precisionflow.cluster.trainjob.api import TrainJobs, finished
from precisionflow.cluster.trainjob.launch import train_on_nodes
from precisionflow.cluster.trainjob.spec import Launch, own_runtime, trainjob
from precisionflow.cluster.workspace.trainings import training_key
from precisionflow.config import Experiment, load
from precisionflow.data.prepare import prepare

CLAIM = "test-trainjob-workspace"
PATIENCE = 600
"""Seconds until a test gives up."""
TINY = (
    *("ablation.axes={}", "engine.zero_stage=2", "engine.nodes=2", "model.width=32", "task.context=32"),
    *("training.steps=40", "training.validate_every=10", "training.warmup_steps=4", "training.batch_size=8"),
    *("training.checkpoint_every=5", "seeds=[0]", f"cluster.workspace={CLAIM}"),
    'cluster.train={cpu: "1", memory: 2Gi}',
)
PROGRAM = """
import json, sys
from pathlib import Path
from precisionflow import stages
from precisionflow.config import parse
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY

text, image, alone = json.loads(sys.argv[1])
variant, data, folder = parse(text), Path("/workspace/test-data"), Path("/workspace/test-out")
stages.prepare([variant], out=data)
stages.launch_trainjob(variant, image=image, data=data, out=folder / "nodes", run="test-run")
if alone:
    stages.train(variant, data=data, out=folder / "alone")
for file in sorted(folder.glob("*/*/history.parquet")):
    rows = [row for row in read_parquet(file, HISTORY).to_pylist() if row["metric"] != "seconds_per_step"]
    print("curve", json.dumps({"of": file.parts[3], "rows": [list(row.values()) for row in rows]}), flush=True)
"""


def tiny(*settings: str) -> Experiment:
    return load("quickstart-language", [*TINY, *settings])


@pytest.fixture(scope="module")
def jobs(connection: Connection) -> TrainJobs:
    return TrainJobs(connection)


@pytest.fixture(scope="module")
def claim(jobs: TrainJobs) -> Iterator[str]:
    """The volume that launcher and nodes share."""
    body = {
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    jobs.connection.core.create_namespaced_persistent_volume_claim(jobs.namespace, body)
    yield CLAIM
    for job in ours(jobs):
        jobs.remove(job["metadata"]["name"])
    jobs.connection.core.delete_namespaced_persistent_volume_claim(CLAIM, jobs.namespace)


def ours(jobs: TrainJobs) -> list[dict[str, Any]]:
    return objects.listed(jobs.connection, TRAINJOBS, labels={names.RUN: "test-run"})


KILL = """
import os, pathlib
for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if b"-u" in file.read_bytes().split(b"\\0"):
        os.kill(int(file.parent.name), 9)
"""
"""Program that kills the launcher beside it, without a word before: deleting a pod would let it tidy up."""


class Launcher:
    """A pod that does what the task launch_trainjob does."""

    def __init__(self, jobs: TrainJobs, image: str, claim: str) -> None:
        self.jobs, self.image, self.claim, self.name = jobs, image, claim, ""

    def start(self, experiment: Experiment, *, alone: bool = False) -> None:
        given = json.dumps([experiment.model_dump_json(), self.image, alone])
        context = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}
        context["seccompProfile"] = {"type": "RuntimeDefault"}
        container = {
            "name": "main",
            "image": self.image,
            "command": ["python3", "-u", "-c", PROGRAM, given],
            "env": [{"name": "HOME", "value": "/tmp"}, {"name": "OMP_NUM_THREADS", "value": "1"}],
            "volumeMounts": [{"name": "workspace", "mountPath": names.WORKSPACE}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        spec = {
            "restartPolicy": "Never",
            "shareProcessNamespace": True,
            "serviceAccountName": "pipeline-runner",
            "securityContext": context,
            "containers": [container],
            "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": self.claim}}],
        }
        pod = self.jobs.connection.core.create_namespaced_pod(
            self.jobs.namespace, {"metadata": {"generateName": "test-trainjob-"}, "spec": spec}
        )
        self.name = pod.metadata.name

    def log(self) -> str:
        """What it printed so far."""
        from kubernetes.client import ApiException

        try:
            return str(self.jobs.connection.core.read_namespaced_pod_log(self.name, self.jobs.namespace))
        except ApiException:
            return ""

    def phase(self) -> str:
        return str(self.jobs.connection.core.read_namespaced_pod(self.name, self.jobs.namespace).status.phase)

    def curves(self) -> dict[str, list[list[Any]]]:
        """What it trained, when it is done."""
        until(lambda: self.phase() in ("Succeeded", "Failed"))
        assert self.phase() == "Succeeded", self.log()
        said = [
            json.loads(line.removeprefix("curve "))
            for line in self.log().splitlines()
            if line.startswith("curve ")
        ]
        return {curve["of"]: curve["rows"] for curve in said}

    def kill(self) -> None:
        """SIGKILL, and wait until it is noticed."""
        from kubernetes.client import CoreV1Api
        from kubernetes.stream import stream

        core = CoreV1Api(Connection(Access(namespace=self.jobs.namespace)).api)
        order = ["python3", "-c", KILL]
        command = {"command": order, "stdout": True, "_preload_content": False}
        told = stream(core.connect_get_namespaced_pod_exec, self.name, self.jobs.namespace, **command)
        told.run_forever(timeout=30)
        told.close()
        del told, core
        gc.collect()  # the warning of its socket comes in the test that expects it
        until(lambda: self.phase() == "Failed")

    def delete(self, *, grace: int = 10) -> None:
        from kubernetes.client import ApiException

        try:
            self.jobs.connection.core.delete_namespaced_pod(
                self.name, self.jobs.namespace, grace_period_seconds=grace
            )
        except ApiException as error:
            if error.status != 404:
                raise


@pytest.fixture
def launcher(jobs: TrainJobs, claim: str, images: Mapping[str, str]) -> Iterator[Launcher]:
    made = Launcher(jobs, images["train"], claim)
    yield made
    if made.name:
        made.delete(grace=0)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(1)


LONGER = (
    *("model.width=64", "task.context=64", "training.batch_size=24", "training.learning_rate=0.001"),
    *("training.steps=2000", "training.validate_every=50", "training.checkpoint_every=20"),
)
"""Minutes of training, on an idle machine too: progress is told every 30 s."""
PROGRESS = "/2000, "
"""In a line of progress."""


@pytest.mark.parametrize("runtime", ["torch-distributed", "deepspeed-distributed"])
def test_two_nodes_have_the_losses_of_two_local_ranks(runtime: str, launcher: Launcher):
    seed = ["torch-distributed", "deepspeed-distributed"].index(runtime)
    launcher.start(tiny(f"cluster.runtime={runtime}", f"seeds=[{seed}]"), alone=True)
    curves = launcher.curves()
    assert f"seed {seed} split 0: step 40/40" in launcher.log()
    assert [row[:2] for row in curves["nodes"]] == [row[:2] for row in curves["alone"]]
    values = {name: [row[2] for row in rows] for name, rows in curves.items()}
    assert values["nodes"] == pytest.approx(values["alone"], rel=0, abs=1e-6)


def test_a_deleted_training_pod_costs_no_more_than_the_steps_since_the_checkpoint(
    jobs: TrainJobs, launcher: Launcher
):
    launcher.start(tiny(*LONGER, "seeds=[2]"), alone=True)
    until(lambda: PROGRESS in launcher.log())
    (job,) = [job for job in ours(jobs) if not finished(job)]
    second = [pod for pod in jobs.state(job["metadata"]["name"]).pods if "-node-0-1-" in pod.metadata.name]
    jobs.connection.core.delete_namespaced_pod(
        second[0].metadata.name, jobs.namespace, grace_period_seconds=0
    )
    curves = launcher.curves()
    assert "starting again from the last checkpoint, 1 of 2" in launcher.log()
    assert launcher.log().count(": goes on from step ") == 1
    values = {name: [row[2] for row in rows] for name, rows in curves.items()}
    assert values["nodes"] == pytest.approx(values["alone"], rel=1e-4)


def test_a_launcher_that_is_told_to_end_takes_the_training_with_it_and_another_goes_on(
    jobs: TrainJobs, launcher: Launcher
):
    longer = tiny(*LONGER, "seeds=[3]")
    launcher.start(longer)
    until(lambda: PROGRESS in launcher.log())
    launcher.delete()
    until(lambda: all(finished(job) for job in ours(jobs)))
    launcher.start(longer)
    assert launcher.curves()["nodes"]
    assert ": goes on from step " in launcher.log()


@pytest.mark.filterwarnings(  # the client's exec leaves its socket to the garbage collector
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)
def test_a_launcher_that_is_killed_leaves_a_training_that_the_next_one_follows(
    jobs: TrainJobs, launcher: Launcher
):
    longer = tiny(*LONGER, "seeds=[4]")
    launcher.start(longer)
    until(lambda: PROGRESS in launcher.log())
    launcher.kill()
    launcher.delete(grace=0)
    (job,) = [job for job in ours(jobs) if not finished(job)]
    launcher.start(longer)
    assert launcher.curves()["nodes"]
    assert "is there already, following it" in launcher.log()
    assert job["metadata"]["uid"] in [later["metadata"]["uid"] for later in ours(jobs)]


@pytest.mark.parametrize(
    ("settings", "image", "message"),
    [
        (
            (),
            "example.invalid/none/precisionflow:1",
            r"image example.invalid/none/precisionflow:1 cannot be pulled",
        ),
        (("cluster.train.gpus=512",), None, r"no node takes pod train-.*(nvidia.com/gpu).*; ask for less in"),
        (("cluster.workspace=no-such-claim",), None, r'no node takes pod .*"no-such-claim" not found'),
        (
            ("cluster.priority_class=no-such-class",),
            None,
            r"no pods are made .*no-such-class.*get priorityclasses",
        ),
    ],
    ids=["image", "gpus", "claim", "priority"],
)
@pytest.mark.usefixtures("claim")
def test_what_the_cluster_lacks_is_said_and_nothing_is_left(
    settings: tuple[str, ...], image: str | None, message: str, jobs: TrainJobs, images, tmp_path: Path
):
    experiment = tiny("seeds=[9]", *settings)
    prepare([experiment], out=tmp_path / "data")
    (tmp_path / "workspace").mkdir()
    with pytest.raises(ClusterError, match=message):
        train_on_nodes(
            experiment,
            data=tmp_path / "data",
            out=tmp_path / "out",
            image=image or images["train"],
            run="test-refused",
            connection=jobs.connection,
            workspace=tmp_path / "workspace",
            patience=15,
        )
    launch = Launch(experiment, image="", key=training_key(experiment, data=tmp_path / "data"), run="")
    until(lambda: not jobs.get(launch.name))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("runtime", ["torch-distributed", "deepspeed-distributed"])
def test_the_api_server_takes_the_trainjob(runtime: str, jobs: TrainJobs):
    launch = Launch(tiny(), image="registry.example/train:1", key="0123456789ab", run="test-dry")
    own = own_runtime(jobs.runtime(runtime), launch)
    api = (TRAINJOBS.group, TRAINJOBS.version, jobs.namespace)
    strict = {"dry_run": "All", "field_validation": "Strict"}
    made = jobs.connection.custom.create_namespaced_custom_object(*api, "trainingruntimes", own, **strict)
    assert made["spec"]["template"]["spec"]["replicatedJobs"]
    job = trainjob(own, launch)
    job["spec"]["runtimeRef"] = {"kind": "ClusterTrainingRuntime", "name": runtime}  # the copy is not there
    assert jobs.connection.custom.create_namespaced_custom_object(*api, "trainjobs", job, **strict)["spec"]
