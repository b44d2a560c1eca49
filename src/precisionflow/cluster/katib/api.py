"""Katib experiments in a namespace: found, made, looked at with their trials, removed."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.kinds import EXPERIMENTS, TRIALS
from precisionflow.cluster.access.listening import refuse_unheard
from precisionflow.cluster.access.names import OF_EXPERIMENT, OF_TRIAL
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.patience import came_true
from precisionflow.cluster.access.pod_logs import read_log

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod

GONE_SECONDS = 180.0
"""Longest time that a removed experiment's pods take to end."""


def condition(thing: Object, *kinds: str) -> Object | None:
    """The condition of an experiment or a trial that holds and is one of `kinds`, the first of them first."""
    held = [dict(c) for c in thing.get("status", {}).get("conditions") or () if c.get("status") == "True"]
    return next((c for kind in kinds for c in held if c["type"] == kind), None)


@dataclass(frozen=True)
class Look:
    """An experiment at one moment."""

    experiment: Object | None
    """None: there is no such experiment."""
    trials: list[Object]
    """In the order in which they were made."""
    pods: "list[V1Pod]"
    """Pods of its trials."""
    events: "list[CoreV1Event]"
    """Warnings about the experiment and its parts."""

    @property
    def end(self) -> Object | None:
        """The condition Succeeded or Failed."""
        return condition(self.experiment, "Failed", "Succeeded") if self.experiment else None


class KatibExperiments:
    """Katib experiments of one namespace."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespace = connection.namespace

    def get(self, name: str) -> Object | None:
        """An experiment; none where there is none. ClusterError where Katib is not installed."""
        with explained("looking for Katib experiments"), _installed():
            return objects.named(self.connection, EXPERIMENTS, name)

    def make(self, experiment: Object) -> Object:
        """Create an experiment; ClusterError with Katib's own words where it refuses it."""
        name = experiment["metadata"]["name"]
        refuse_unheard(self.connection)
        with explained(f"making Katib experiment {name}"), _accepted(name):
            return objects.make(self.connection, EXPERIMENTS, experiment)

    def delete(self, name: str) -> None:
        """Have an experiment, its trials and their pods removed; they go a little later."""
        with explained(f"removing Katib experiment {name}"):
            objects.remove(self.connection, EXPERIMENTS, name)

    def remove(self, name: str) -> None:
        """Remove an experiment and wait until it and what it owned are gone: the name is free then."""
        self.delete(name)
        if not came_true(lambda: self.gone(name), seconds=GONE_SECONDS):
            raise ClusterError(
                f"Katib experiment {name} does not go away; look at `kubectl describe experiment {name}`"
            )

    def gone(self, name: str) -> bool:
        """Whether nothing is left of an experiment: itself, its trials, their pods and that of its suggestions."""
        labels = {OF_EXPERIMENT: name}
        with explained(f"looking for what is left of Katib experiment {name}"):
            return (
                self.get(name) is None
                and not objects.listed(self.connection, TRIALS, labels=labels)
                and not objects.pods(self.connection, labels=labels)
            )

    def look(self, name: str) -> Look:
        """An experiment, its trials, their pods, and the warnings about them."""
        labels = {OF_EXPERIMENT: name}
        with explained(f"watching Katib experiment {name}"):
            experiment = self.get(name)
            trials = objects.listed(self.connection, TRIALS, labels=labels)
            pods = objects.pods(self.connection, labels=labels)
            warnings = objects.warnings(self.connection)
        trials.sort(key=lambda trial: (trial["metadata"]["creationTimestamp"], trial["metadata"]["name"]))
        about = [e for e in warnings if (e.involved_object.name or "").startswith(f"{name}-")]
        of_trials = [pod for pod in pods if OF_TRIAL in (pod.metadata.labels or {})]
        return Look(experiment, trials, of_trials, about)

    def log(self, pod: "V1Pod", container: str, *, lines: int) -> str:
        """The last lines that a container printed; empty where nothing can be read any more."""
        with contextlib.suppress(ClusterError), explained("reading a trial's log"):
            return read_log(self.connection, pod, container=container, tail_lines=lines)
        return ""


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """Turn an unknown kind into a ClusterError that says so."""
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as error:
        if error.status == 404:
            raise ClusterError(
                f"Katib is not installed: the API has no {EXPERIMENTS.api_version} {EXPERIMENTS.plural}; have it "
                "installed, or search on this machine without --cluster"
            ) from None
        raise


@contextlib.contextmanager
def _accepted(name: str) -> Iterator[None]:
    """Turn a refusal by Katib's webhook into a ClusterError: it is no matter of rights."""
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as error:
        try:
            said = str(json.loads(error.body or "{}").get("message", ""))
        except ValueError:
            said = ""
        if "admission webhook" in said:
            reason = " ".join(said.partition("denied the request: ")[2].split()) or said
            raise ClusterError(
                f"Katib refuses experiment {name} ({reason[:400]}); mend the study's file"
            ) from None
        raise
