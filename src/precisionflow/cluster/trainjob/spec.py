"""TrainJob of an experiment on several nodes, and its runtime, as the Trainer's API takes them."""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from precisionflow.cluster.access import names
from precisionflow.cluster.access.kinds import TRAINJOBS
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.short_pod import USER
from precisionflow.cluster.workspace.trainings import TRAININGS
from precisionflow.config import Experiment
from precisionflow.config.engine import DeepSpeedEngine

MANAGER = "precisionflow.org/launcher"
"""Author of the patches of the runtime."""
CONTAINER = "node"
"""The container that trains, in every job of the Trainer's runtimes."""
JOBSET = "jobset.sigs.k8s.io/jobset-name"
"""Label of a TrainJob's pods: the TrainJob's name."""
PORT = "29500"
"""Port on which rank 0 listens for the ranks that mpirun starts."""


@dataclass(frozen=True)
class Launch:
    """What a TrainJob trains, with which image, for which run."""

    experiment: Experiment
    """One resolved variant."""
    image: str
    """Reference of an image with torch and DeepSpeed."""
    key: str
    """Identity of its weights, from `workspace.trainings.training_key`."""
    run: str
    """Id of the KFP run; empty outside of one."""
    owner: Object | None = None
    """Owner reference to what takes the TrainJob with it when it is deleted: the run's Argo Workflow."""

    @cached_property
    def name(self) -> str:
        """Name of the TrainJob, equal for equal weights: a retry finds it.

        Pods' names add up to 19 characters, and 63 are allowed.
        """
        return f"train-{self.experiment.name[:24].strip('-')}-{self.key}"

    @cached_property
    def folder(self) -> PurePosixPath:
        """Its folder in the workspace, as every pod sees it."""
        return PurePosixPath(names.WORKSPACE) / TRAININGS / self.key

    @cached_property
    def nodes(self) -> int:
        """Nodes that train."""
        engine = self.experiment.engine
        return engine.nodes if isinstance(engine, DeepSpeedEngine) else 1

    @cached_property
    def ranks(self) -> int:
        """Processes on all nodes together."""
        engine = self.experiment.engine
        return engine.ranks if isinstance(engine, DeepSpeedEngine) else 1

    @cached_property
    def runtime(self) -> str:
        """Name of the Trainer's runtime: torchrun's for one node, where MPI's would make two pods."""
        return self.experiment.cluster.runtime if self.nodes > 1 else "torch-distributed"

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels of the TrainJob, of its runtime and of its pods."""
        run = {names.RUN: self.run} if self.run else {}
        return names.MANAGED | run | {names.KEY: self.key}

    @cached_property
    def metadata(self) -> Object:
        """Metadata of the TrainJob and of its runtime."""
        owners = [self.owner] if self.owner else []
        return {"name": self.name, "labels": self.labels, "ownerReferences": owners}


def own_runtime(found: Object, launch: Launch) -> Object:
    """A copy of the runtime that was found, with what a TrainJob cannot say for itself.

    That is: the image of MPI's node pods, the priority class, no token of the API, how often and when pods may start
    again, and when the finished ones go. One failure ends the containers of all nodes, so the limit is multiplied by
    their number. A pod that is being deleted is replaced when it has ended: two of them would write the same
    checkpoints.
    """
    cluster = launch.experiment.cluster
    spec = copy.deepcopy(found["spec"])
    jobset = spec["template"].setdefault("spec", {})
    jobset["ttlSecondsAfterFinished"] = cluster.keep_seconds
    for job in jobset["replicatedJobs"]:
        patience = {
            "backoffLimit": 2 * (cluster.retries + 1) * launch.nodes,
            "podReplacementPolicy": "Failed",
        }
        job["template"]["spec"] |= patience
        pod = job["template"]["spec"]["template"]["spec"]
        pod["automountServiceAccountToken"] = False
        if cluster.priority_class:
            pod["priorityClassName"] = cluster.priority_class
        for container in pod["containers"]:
            if container["name"] == CONTAINER:
                container["image"] = launch.image
    kept = {
        key: value
        for key, value in found["metadata"].get("labels", {}).items()
        if key == f"{TRAINJOBS.group}/framework"
    }
    metadata = launch.metadata | {"labels": kept | launch.labels}
    return {
        "apiVersion": TRAINJOBS.api_version,
        "kind": "TrainingRuntime",
        "metadata": metadata,
        "spec": spec,
    }


def trainjob(runtime: Object, launch: Launch) -> Object:
    """The TrainJob that trains with a runtime of `own_runtime`."""
    cluster = launch.experiment.cluster
    share = cluster.train.share
    patched = [
        {"name": job["name"], "template": {"spec": {"template": _pod(launch)}}} for job in _jobs(runtime)
    ]
    return {
        "apiVersion": TRAINJOBS.api_version,
        "kind": "TrainJob",
        "metadata": launch.metadata | {"labels": launch.labels | cluster.queueing},
        "spec": {
            "runtimeRef": {"apiGroup": TRAINJOBS.group, "kind": "TrainingRuntime", "name": launch.name},
            "activeDeadlineSeconds": cluster.deadline_seconds,
            "trainer": {
                "image": launch.image,
                "numNodes": launch.nodes,
                "numProcPerNode": launch.ranks // launch.nodes,
                "command": _command(runtime, launch),
                "env": _environment(launch),
                "resourcesPerNode": {"requests": share, "limits": share},
            },
            "runtimePatches": [
                {
                    "manager": MANAGER,
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": patched}}},
                }
            ],
        },
    }


def speaker(runtime: Object) -> str:
    """Name of the job whose first pod prints the progress: the nodes', or MPI's launcher."""
    return "launcher" if uses_mpi(runtime) else str(_jobs(runtime)[0]["name"])


def uses_mpi(runtime: Object) -> bool:
    """Whether the ranks are started by mpirun; else by torchrun."""
    return "mpi" in (runtime["spec"].get("mlPolicy") or {})


def _jobs(runtime: Object) -> list[Object]:
    """Jobs of the runtime whose pods train: not those that fetch data or models."""
    return [
        job
        for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]
        if any(
            container["name"] == CONTAINER
            for container in job["template"]["spec"]["template"]["spec"]["containers"]
        )
    ]


def _command(runtime: Object, launch: Launch) -> list[str]:
    """The verb `train`, which keeps a cell that diverges as a failed one.

    It finds torchrun's rendezvous in its environment, or is started by mpirun rank by rank.
    """
    folder = launch.folder
    verb = ["train", f"{folder}/experiment.json", "--data", f"{folder}/data", "--out", f"{folder}/model"]
    plain = ["python3", "-m", "precisionflow", *verb, "--keep-failures"]
    if not uses_mpi(runtime):
        return plain
    own = runtime["spec"]["mlPolicy"]["mpi"].get(
        "runLauncherAsNode"
    )  # mpirun's own host takes the first ranks
    first = f"{launch.name}-{'launcher' if own else CONTAINER}-0-0.{launch.name}"
    passed = [f"MASTER_ADDR={first}", f"MASTER_PORT={PORT}", "PATH"]
    passed += [variable["name"] for variable in _environment(launch) if "value" in variable]
    exported = [word for name in passed for word in ("-x", name)]
    return ["mpirun", "-n", str(launch.ranks), "--bind-to", "none", *exported, *plain]


def _environment(launch: Launch) -> list[Object]:
    """Variables of a pod: threads for a rank's share of its processors, a home that can be written, MLflow's."""
    processes = launch.ranks // launch.nodes
    threads = launch.experiment.cluster.train.threads(processes)
    plain = {"OMP_NUM_THREADS": str(threads), "HOME": "/tmp", "PYTHONUNBUFFERED": "1"}
    referred = [(name, "configMapKeyRef") for name in names.MLFLOW_VARIABLES]
    referred += [(name, "secretKeyRef") for name in names.MLFLOW_SECRETS]
    return [{"name": name, "value": value} for name, value in plain.items()] + [
        {"name": name, "valueFrom": {kind: {"name": names.MLFLOW, "key": name, "optional": True}}}
        for name, kind in referred
    ]


def _pod(launch: Launch) -> Object:
    """Patch of a pod: the workspace, room for temporary files and shared memory, where it runs, what it may not do."""
    resources = launch.experiment.cluster.train
    volumes: dict[str, tuple[str, Object]] = {
        "workspace": (
            names.WORKSPACE,
            {"persistentVolumeClaim": {"claimName": launch.experiment.cluster.workspace}},
        ),
        "scratch": ("/tmp", {"emptyDir": {}}),
    }
    if resources.shared_memory:
        volumes["shared-memory"] = (
            "/dev/shm",
            {"emptyDir": {"medium": "Memory", "sizeLimit": resources.shared_memory}},
        )
    container = {
        "name": CONTAINER,
        "volumeMounts": [{"name": name, "mountPath": path} for name, (path, _) in volumes.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER,
        },
    }
    spec: Object = {
        "volumes": [{"name": name, **source} for name, (_, source) in volumes.items()],
        "containers": [container],
        "securityContext": {
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if secrets := launch.experiment.cluster.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    if resources.node_selector:
        spec["nodeSelector"] = resources.node_selector
    if resources.tolerations:
        spec["tolerations"] = [
            {key: value for key, value in toleration.model_dump().items() if value}
            for toleration in resources.tolerations
        ]
    return {"metadata": {"labels": launch.labels | names.UNMESHED}, "spec": spec}
