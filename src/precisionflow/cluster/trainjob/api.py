"""TrainJobs in a namespace: found, made with their runtime, watched, removed."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.trainjob.spec import GROUP, VERSION, Launch, Object, own_runtime, trainjob

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod

FINISHED = ("Complete", "Failed")
GONE_SECONDS = 120.0
"""Longest time that a removed TrainJob's pods take to end."""


@dataclass(frozen=True)
class State:
    """A TrainJob at one moment."""

    job: Object | None
    """None: there is no such TrainJob."""
    pods: "list[V1Pod]"
    events: "list[CoreV1Event]"
    """Warnings about it and its parts."""

    @property
    def finished(self) -> Object | None:
        """The condition Complete or Failed."""
        return finished(self.job) if self.job else None


def finished(job: Object) -> Object | None:
    """The condition that says how a TrainJob ended; none while it has not."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in FINISHED and condition["status"] == "True":
            return dict(condition)
    return None


class TrainJobs:
    """Those of one namespace."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespace = connection.namespace

    def get(self, name: str) -> Object | None:
        """A TrainJob; none where there is none."""
        return self._get(self._trainjobs, name)

    def finished_before(self, moment: float) -> list[Object]:
        """Our TrainJobs that finished before a time (seconds since 1970)."""
        (selector,) = (f"{key}={value}" for key, value in names.MANAGED.items())
        with explained("looking for TrainJobs"):
            found = self.connection.custom.list_namespaced_custom_object(
                *self._trainjobs, label_selector=selector
            )
        ends = [(job, finished(job)) for job in found["items"]]
        return [job for job, end in ends if end and _seconds(end["lastTransitionTime"]) < moment]

    def runtime(self, name: str) -> Object:
        """The namespace's runtime of that name, else the cluster's; ClusterError where there is none."""
        from kubernetes.client import ApiException

        try:
            own = self.connection.custom.list_namespaced_custom_object(
                GROUP, VERSION, self.namespace, "trainingruntimes"
            )["items"]
            shared = self.connection.custom.list_cluster_custom_object(
                GROUP, VERSION, "clustertrainingruntimes"
            )["items"]
        except ApiException as error:
            if error.status == 404:
                raise ClusterError(
                    f"Kubeflow Trainer is not installed: the API has no {GROUP}/{VERSION}; have it installed, "
                    "or train on one node with --set engine.nodes=1"
                ) from None
            with explained("looking for the Trainer's runtimes"):
                raise
        by_name = {runtime["metadata"]["name"]: runtime for runtime in [*shared, *own]}
        if name not in by_name:
            there = ", ".join(runtime["metadata"]["name"] for runtime in shared) or "none"
            raise ClusterError(
                f"cluster.runtime: there is no ClusterTrainingRuntime {name!r} (there are: {there}); "
                "have it installed, or choose another"
            )
        return dict(by_name[name])

    def make(self, launch: Launch, *, found: Object) -> Object:
        """Create a TrainJob and its runtime, which goes when it goes; nothing stays where one of them is refused."""
        runtime = own_runtime(found, launch)
        with explained(f"making TrainJob {launch.name}"):
            self.connection.custom.create_namespaced_custom_object(*self._runtimes, runtime)
            try:
                job = self.connection.custom.create_namespaced_custom_object(
                    *self._trainjobs, trainjob(runtime, launch)
                )
                owned = {"metadata": {"ownerReferences": [_owner(job)]}}
                self.connection.custom.patch_namespaced_custom_object(*self._runtimes, launch.name, owned)
            except BaseException:
                for kind in (self._trainjobs, self._runtimes):
                    self._delete(kind, launch.name)
                raise
        return dict(job)

    def delete(self, name: str) -> None:
        """Have a TrainJob removed; its pods and its runtime go a little later.

        In the background: the Trainer refuses the updates by which a foreground removal ends once the runtime is gone.
        """
        self._delete(self._trainjobs, name)

    def remove(self, name: str) -> None:
        """Remove a TrainJob, its pods and its runtime, and wait until they are gone: the name is free then."""
        self.delete(name)
        self._wait(lambda: not (self.get(name) or self._pods(name)), name)
        self._delete(self._runtimes, name)
        self._wait(lambda: not self._get(self._runtimes, name), name)

    def _wait(self, gone: Callable[[], bool], name: str) -> None:
        end = time.monotonic() + GONE_SECONDS
        while not gone():
            if time.monotonic() > end:
                raise ClusterError(
                    f"TrainJob {name} does not go away; `kubectl describe trainjob {name}` says why"
                )
            time.sleep(0.5)

    def _get(self, kind: tuple[str, str, str, str], name: str) -> Object | None:
        with explained("looking for TrainJobs"):
            selector = f"metadata.name={name}"
            found = self.connection.custom.list_namespaced_custom_object(*kind, field_selector=selector)
        return next(iter(found["items"]), None)

    def _delete(self, kind: tuple[str, str, str, str], name: str) -> None:
        from kubernetes.client import ApiException

        with explained(f"removing TrainJob {name}"):
            try:
                self.connection.custom.delete_namespaced_custom_object(
                    *kind, name, propagation_policy="Background"
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def _pods(self, name: str) -> "list[V1Pod]":
        with explained(f"looking for the pods of TrainJob {name}"):
            selector = f"jobset.sigs.k8s.io/jobset-name={name}"
            return list(
                self.connection.core.list_namespaced_pod(self.namespace, label_selector=selector).items
            )

    def state(self, name: str) -> State:
        job, pods = self.get(name), self._pods(name)
        with explained(f"watching TrainJob {name}"):
            warnings = self.connection.core.list_namespaced_event(
                self.namespace, field_selector="type=Warning"
            ).items
        born = _seconds(job["metadata"]["creationTimestamp"]) if job else 0.0
        about = [
            event
            for event in warnings
            if (event.involved_object.name or "").startswith(name) and _when(event) >= born
        ]
        return State(job, pods, about)

    def owner(self) -> Object | None:
        """The Argo Workflow that this pod works for; none outside of one."""
        pod = os.environ.get("KFP_POD_NAME")
        if not (pod and inside()):
            return None
        with explained("looking at this task's own pod"):
            references = (
                self.connection.core.read_namespaced_pod(pod, self.namespace).metadata.owner_references or []
            )
        for reference in references:
            if reference.kind == "Workflow":
                return {
                    "apiVersion": reference.api_version,
                    "kind": reference.kind,
                    "name": reference.name,
                    "uid": reference.uid,
                }
        return None

    @property
    def _trainjobs(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, "trainjobs"

    @property
    def _runtimes(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, "trainingruntimes"


def _owner(job: Object) -> Object:
    metadata = job["metadata"]
    return {
        "apiVersion": job["apiVersion"],
        "kind": job["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _seconds(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()


def _when(event: Any) -> float:
    moment = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    return float(moment.timestamp())
