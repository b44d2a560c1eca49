"""Cluster settings of an experiment: resources, scheduling, patience. They never change a result."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from precisionflow.config.base import Config, Count, Name, Whole


def _written(value: object) -> object:
    """YAML reads 2 as a number; a quantity is text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Quantity = Annotated[
    str, BeforeValidator(_written), Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
]
"""A Kubernetes quantity: 2, 500m, 4Gi."""
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$")
]
LabelValue = Annotated[str, Field(pattern=r"^([a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?)?$", max_length=63)]


class Toleration(Config):
    """A node's taint that pods of this experiment may ignore."""

    key: LabelKey
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Empty: every effect."""


class Resources(Config):
    """Of one pod."""

    cpu: Quantity = "1"
    memory: Quantity = "2Gi"
    gpus: Whole = 0
    gpu_resource: Literal["nvidia.com/gpu", "amd.com/gpu"] = "nvidia.com/gpu"
    shared_memory: Quantity | None = None
    """Size of /dev/shm; none: the container runtime's 64 MiB."""
    node_selector: dict[LabelKey, LabelValue] = {}
    tolerations: tuple[Toleration, ...] = ()


class Cluster(Config):
    """Settings that matter on a cluster alone."""

    train: Resources = Resources(cpu="2", memory="4Gi")
    """Of a training pod, on every node."""
    evaluate: Resources = Resources(memory="3Gi")
    other: Resources = Resources()
    """Of prepare, aggregate, report and the launchers."""
    runtime: Literal["torch-distributed", "deepspeed-distributed"] = "torch-distributed"
    """Kubeflow Trainer's runtime for engine.nodes > 1: torchrun's rendezvous, or MPI."""
    workspace: Name = "precisionflow-workspace"
    """PersistentVolumeClaim that a launcher and the nodes of its TrainJob share."""
    retries: Whole = 2
    """Of a failed task, with growing pauses."""
    deadline_seconds: Count = 86400
    """Longest time of one training job or search."""
    keep_seconds: Count = 3600
    """Time after which a finished TrainJob is removed."""
    priority_class: Name | None = None
    """PriorityClass of training pods."""
