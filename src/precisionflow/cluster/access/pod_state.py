"""State of pods in one line: why they do not run, or how their containers ended, from their states and events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1ContainerStateTerminated, V1ContainerStatus, V1Pod

# reasons for which a container waits
NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
NO_START = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
NOT_MADE = ("FailedCreate", "TrainJobResourcesCreationFailed")
"""Reasons of events that say why there are no pods."""


GATED = "SchedulingGated"
"""Reason for which a pod is not placed while a queue holds it."""
QUEUED = "queued: its queue (cluster.queue) has not admitted it yet"


@dataclass(frozen=True)
class Ending:
    """A container that ended with an error."""

    pod: "V1Pod"
    number: int
    """Number of the container's restarts before."""
    again: bool
    """Whether it has started again since."""
    cause: str

    @property
    def identity(self) -> tuple[str, int]:
        """Uid of the pod and number of restarts, equal for looks at the same ending."""
        return self.pod.metadata.uid, self.number


def waiting(pods: Sequence["V1Pod"], events: Iterable["CoreV1Event"]) -> str | None:
    """Cause that keeps pods from running, and the remedy; none where all run, or only take their time."""
    for pod in pods:
        if reason := _unscheduled(pod) or _unstarted(pod):
            return reason
    if all(pod.status.phase in ("Running", "Succeeded") for pod in pods) and pods:
        return None
    for event in events:
        if event.reason in NOT_MADE:
            return _not_made(_line(event.message))
    return None


def endings(pods: Iterable["V1Pod"], *, container: str) -> list[Ending]:
    """The latest ending with an error of each pod's container."""
    found = []
    for pod in pods:
        for status in pod.status.container_statuses or ():
            if status.name != container:
                continue
            if failed(status.state.terminated):
                found.append(Ending(pod, status.restart_count, False, cause(status.state.terminated)))
            elif failed(status.last_state.terminated):
                found.append(Ending(pod, status.restart_count - 1, True, cause(status.last_state.terminated)))
    return found


def failed(ended: "V1ContainerStateTerminated | None") -> bool:
    """Whether a container has ended with an error."""
    return bool(ended and ended.exit_code)


def cause(ended: "V1ContainerStateTerminated") -> str:
    """Exit code of a container, what it said about it, and the remedy where one is known."""
    if ended.reason == "OOMKilled":
        return "used more memory than it may (OOMKilled); raise cluster.train.memory or lower training.batch_size"
    said = f", {_line(ended.message)}" if ended.message else ""
    reason = f" ({ended.reason})" if ended.reason not in (None, "Error") else ""
    return f"ended with exit code {ended.exit_code}{reason}{said}"


def _unscheduled(pod: "V1Pod") -> str | None:
    for condition in pod.status.conditions or ():
        if condition.reason == GATED:
            return f"pod {pod.metadata.name} is {QUEUED}"
        if condition.type == "PodScheduled" and condition.status == "False":
            return (
                f"no node takes pod {pod.metadata.name} ({_line(condition.message)}); ask for less in cluster.train, "
                "mend its node_selector or tolerations, or add nodes"
            )
    return None


def _unstarted(pod: "V1Pod") -> str | None:
    statuses: list[V1ContainerStatus] = [
        *(pod.status.init_container_statuses or ()),
        *(pod.status.container_statuses or ()),
    ]
    for status in statuses:
        held = status.state.waiting
        if held and held.reason in NO_IMAGE:
            return (
                f"image {status.image} cannot be pulled ({_line(held.message or held.reason)}); push it where the "
                "cluster's nodes reach it, and give its full name in build/images.json"
            )
        if held and held.reason in NO_START:
            return f"pod {pod.metadata.name} cannot start ({_line(held.message or held.reason)}); mend what it names"
    return None


def _not_made(message: str) -> str:
    if "exceeded quota" in message:
        remedy = (
            "wait for other jobs to end, ask for less in cluster.train, or have the namespace's quota raised"
        )
    elif "PodSecurity" in message:
        remedy = "mend the runtime's pod template or the namespace's pod-security label"
    elif "PriorityClass" in message:
        remedy = "name one of `kubectl get priorityclasses` in cluster.priority_class"
    else:
        remedy = "`precisionflow doctor` says what is wrong"
    return f"no pods are made ({message}); {remedy}"


def _line(message: str | None) -> str:
    return " ".join((message or "").split())[:300]
