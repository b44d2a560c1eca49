"""TrainJobs in a namespace: found, made with their runtime, looked at, removed."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.kinds import CLUSTER_RUNTIMES, NETWORK_POLICIES, RUNTIMES, TRAINJOBS, Kind
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.owner import reference_to
from precisionflow.cluster.access.patience import PAUSE_SECONDS, Patience, came_true
from precisionflow.cluster.trainjob.shield import shield
from precisionflow.cluster.trainjob.spec import JOBSET, Launch, own_runtime, trainjob

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod

OWNED = (RUNTIMES, NETWORK_POLICIES)
"""Kinds of which each TrainJob has one of its own name."""
FINISHED = ("Complete", "Failed")
"""Conditions of a TrainJob that has ended."""
SEEN_SECONDS = 30.0
"""Longest time until the Trainer's webhook, which reads from a cache, knows a runtime."""
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
    """TrainJobs of one namespace."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespace = connection.namespace

    def get(self, name: str) -> Object | None:
        """A TrainJob; none where there is none."""
        return self._get(TRAINJOBS, name)

    def finished_before(self, moment: float) -> list[Object]:
        """TrainJobs of this project that finished before a time (seconds since 1970)."""
        with explained("looking for TrainJobs"):
            found = objects.listed(self.connection, TRAINJOBS, labels=names.MANAGED)
        ends = [(job, finished(job)) for job in found]
        return [job for job, end in ends if end and _seconds(end["lastTransitionTime"]) < moment]

    def runtime(self, name: str) -> Object:
        """The namespace's runtime of that name, else the cluster's; ClusterError where there is none."""
        from kubernetes.client import ApiException

        try:
            own = objects.listed(self.connection, RUNTIMES)
            shared = self.connection.custom.list_cluster_custom_object(*CLUSTER_RUNTIMES)["items"]
        except ApiException as error:
            if error.status == 404:
                raise ClusterError(
                    f"Kubeflow Trainer is not installed: the API has no {TRAINJOBS.api_version}; have it installed, "
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
        """Create a TrainJob, its runtime and its network policy, which go when it goes.

        Nothing stays where one of them is refused.
        """
        runtime = own_runtime(found, launch)
        with explained(f"making TrainJob {launch.name}"), contextlib.ExitStack() as undo:
            for kind, content in ((NETWORK_POLICIES, shield(launch)), (RUNTIMES, runtime)):
                objects.make(self.connection, kind, content)
                undo.callback(self._undo, kind, launch.name)
            undo.callback(self._undo, TRAINJOBS, launch.name)  # its answer may be lost on the way
            job = self._make_job(trainjob(runtime, launch))
            owned = {"metadata": {"ownerReferences": [reference_to(job)]}}
            for kind in OWNED:
                objects.patch(self.connection, kind, launch.name, owned)
            undo.pop_all()
        return job

    def _make_job(self, job: Object) -> Object:
        """Create a TrainJob whose runtime has just been made; again while the Trainer has not seen that runtime."""
        from kubernetes.client import ApiException

        patience = Patience(SEEN_SECONDS)
        while True:
            try:
                return objects.make(self.connection, TRAINJOBS, job)
            except ApiException as error:
                said = str(error.body)
                if not ("spec.runtimeRef" in said and "not found" in said) or patience.over:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _undo(self, kind: Kind, name: str) -> None:
        with contextlib.suppress(ClusterError):
            self._delete(kind, name)

    def delete(self, name: str) -> None:
        """Have a TrainJob removed; its pods and its runtime go a little later.

        In the background: the Trainer refuses the updates by which a foreground removal ends once the runtime is gone.
        """
        self._delete(TRAINJOBS, name)

    def remove(self, name: str) -> None:
        """Remove a TrainJob, its pods and its runtime, and wait until they are gone: the name is free then."""
        self.delete(name)
        self._wait(lambda: not (self.get(name) or self._pods(name)), name)
        for kind in OWNED:
            self._delete(kind, name)
        self._wait(lambda: not self._get(RUNTIMES, name), name)

    def state(self, name: str) -> State:
        """A TrainJob, its pods, and the warnings since it was made."""
        job, pods = self.get(name), self._pods(name)
        with explained(f"watching TrainJob {name}"):
            warnings = objects.warnings(self.connection)
        born = _seconds(job["metadata"]["creationTimestamp"]) if job else 0.0
        about = [
            event
            for event in warnings
            if (event.involved_object.name or "").startswith(name) and _when(event) >= born
        ]
        return State(job, pods, about)

    def _wait(self, gone: Callable[[], bool], name: str) -> None:
        if not came_true(gone, seconds=GONE_SECONDS):
            raise ClusterError(
                f"TrainJob {name} does not go away; `kubectl describe trainjob {name}` says why"
            )

    def _get(self, kind: Kind, name: str) -> Object | None:
        with explained("looking for TrainJobs"):
            return objects.named(self.connection, kind, name)

    def _delete(self, kind: Kind, name: str) -> None:
        with explained(f"removing TrainJob {name}"):
            objects.remove(self.connection, kind, name)

    def _pods(self, name: str) -> "list[V1Pod]":
        with explained(f"looking for the pods of TrainJob {name}"):
            return objects.pods(self.connection, labels={JOBSET: name})


def _seconds(stamp: str) -> float:
    """Seconds since 1970 of a time in an object."""
    return datetime.fromisoformat(stamp).timestamp()


def _when(event: Any) -> float:
    """Seconds since 1970 at which an event was last seen."""
    moment = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    return float(moment.timestamp())
