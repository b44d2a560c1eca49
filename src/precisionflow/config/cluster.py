"""Cluster settings of an experiment: resources, scheduling, patience. They never change a result."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from precisionflow.config.base import Config, Count, Name, Whole


def _written(value: object) -> object:
    """YAML reads 2 as a number; a quantity is text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Quantity = Annotated[
    str, BeforeValidator(_written), Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
]
"""A Kubernetes quantity: 2, 500m, 4Gi."""
CLAIM = "precisionflow-workspace"
"""PersistentVolumeClaim of manifests/runs."""
QUEUE = "kueue.x-k8s.io/queue-name"
"""Label of what waits in a queue: the queue's name."""
Cores = Annotated[str, BeforeValidator(_written), Field(pattern=r"^[0-9]+(\.[0-9]+)?m?$")]
"""A quantity of processors: 2, 500m."""
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$")
]
LabelValue = Annotated[str, Field(pattern=r"^([a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?)?$", max_length=63)]


ResourceName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$")
]
"""A resource that a device plugin brings: nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.5gb."""


class Toleration(Config):
    """A node's taint that pods of this experiment may ignore."""

    key: LabelKey
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Empty: every effect."""


class Resources(Config):
    """Of one pod."""

    cpu: Cores = "1"
    memory: Quantity = "2Gi"
    gpus: Whole = 0
    gpu_resource: ResourceName = "nvidia.com/gpu"
    shared_memory: Quantity | None = None
    """Size of /dev/shm; none: the container runtime's 64 MiB."""
    node_selector: dict[LabelKey, LabelValue] = {}
    tolerations: tuple[Toleration, ...] = ()

    @property
    def share(self) -> dict[str, str]:
        """Requests and limits of one pod: equal, so that a neighbour's hunger is not a rank's delay."""
        gpus = {self.gpu_resource: str(self.gpus)} if self.gpus else {}
        return {"cpu": self.cpu, "memory": self.memory} | gpus

    def threads(self, processes: int = 1) -> int:
        """Threads of one of a pod's processes: its share of the processors that the pod may use, at least one."""
        count = float(self.cpu[:-1]) / 1000 if self.cpu.endswith("m") else float(self.cpu)
        return max(1, int(count) // processes)


class Cluster(Config):
    """Settings that matter on a cluster alone."""

    train: Resources = Resources(cpu="2", memory="4Gi")
    """Of a training pod, on every node."""
    evaluate: Resources = Resources(memory="3Gi")
    other: Resources = Resources()
    """Of prepare, aggregate, report and the launchers."""
    runtime: Literal["torch-distributed", "deepspeed-distributed"] = "torch-distributed"
    """Kubeflow Trainer's runtime for engine.nodes > 1: torchrun's rendezvous, or MPI."""
    workspace: Name | None = CLAIM
    """PersistentVolumeClaim with raw data, checkpoints and trained cells; none: a lost pod trains anew, and neither
    files nor several nodes are possible."""
    retries: Whole = 2
    """Of a failed task, with growing pauses."""
    deadline_seconds: Count = 86400
    """Longest time of one training job or search."""
    keep_seconds: Count = 3600
    """Time after which a finished TrainJob is removed."""
    priority_class: Name | None = None
    """PriorityClass of training pods."""
    queue: Name | None = None
    """Kueue's LocalQueue for the pods of tasks, TrainJobs and trials."""
    priority: Name | None = None
    """Kueue's WorkloadPriorityClass in that queue."""
    pull_secrets: tuple[Name, ...] = ()
    """Secrets with which the images are pulled."""

    @property
    def queueing(self) -> dict[str, str]:
        """Labels by which Kueue admits what has them; empty without a queue."""
        if self.queue is None:
            return {}
        priority = {"kueue.x-k8s.io/priority-class": self.priority} if self.priority else {}
        return {QUEUE: self.queue} | priority

    @model_validator(mode="after")
    def _has_a_queue(self) -> Self:
        if self.priority and not self.queue:
            raise ValueError("cluster.priority is that of a queue; name one in cluster.queue")
        return self
