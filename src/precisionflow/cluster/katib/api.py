"""Katib experiments in a namespace: found, made, looked at with their trials, removed."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access import names
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.config import digest

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod

Object = dict[str, Any]
GROUP, VERSION = "kubeflow.org", "v1beta1"
INJECTION = "katib.kubeflow.org/metrics-collector-injection"
"""Label of namespaces whose trials Katib listens to."""
OF_EXPERIMENT, OF_TRIAL = "katib.kubeflow.org/experiment", "katib.kubeflow.org/trial"
"""Labels of trials and of their pods."""
UNAVAILABLE = "unavailable"
"""What Katib writes where a trial did not print a metric."""


def condition(thing: Object, *kinds: str) -> Object | None:
    """The condition of an experiment or a trial that holds and is one of `kinds`."""
    held = [dict(c) for c in thing.get("status", {}).get("conditions") or () if c.get("status") == "True"]
    return next((c for kind in kinds for c in held if c["type"] == kind), None)


@dataclass(frozen=True)
class Look:
    """An experiment at one moment."""

    experiment: Object | None
    """None: there is no such experiment."""
    trials: list[Object]
    """In the order of their making."""
    pods: "list[V1Pod]"
    events: "list[CoreV1Event]"
    """Warnings about the experiment and its parts."""

    @property
    def end(self) -> Object | None:
        """The condition Succeeded or Failed."""
        return condition(self.experiment, "Failed", "Succeeded") if self.experiment else None


class KatibExperiments:
    """Those of one namespace."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespace = connection.namespace

    def get(self, name: str) -> Object | None:
        """An experiment; none where there is none. ClusterError where Katib is not installed."""
        with explained("looking for Katib experiments"), _installed():
            selector = f"metadata.name={name}"
            found = self.connection.custom.list_namespaced_custom_object(
                *self._experiments, field_selector=selector
            )
        return next(iter(found["items"]), None)

    def make(self, resource: Object) -> Object:
        """Create an experiment; ClusterError with Katib's own words where it refuses the resource."""
        name = resource["metadata"]["name"]
        self._check_injection()
        with explained(f"making Katib experiment {name}"), _accepted(name):
            return dict(self.connection.custom.create_namespaced_custom_object(*self._experiments, resource))

    def delete(self, name: str) -> None:
        """Have an experiment, its trials and their pods removed; they go a little later."""
        from kubernetes.client import ApiException

        with explained(f"removing Katib experiment {name}"):
            try:
                self.connection.custom.delete_namespaced_custom_object(
                    *self._experiments, name, propagation_policy="Foreground"
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def look(self, name: str) -> Look:
        of = f"{OF_EXPERIMENT}={name}"
        with explained(f"watching Katib experiment {name}"):
            experiment = self.get(name)
            trials = self.connection.custom.list_namespaced_custom_object(
                GROUP, VERSION, self.namespace, "trials", label_selector=of
            )["items"]
            pods = self.connection.core.list_namespaced_pod(self.namespace, label_selector=of).items
            warnings = self.connection.core.list_namespaced_event(
                self.namespace, field_selector="type=Warning"
            ).items
        trials.sort(key=lambda trial: (trial["metadata"]["creationTimestamp"], trial["metadata"]["name"]))
        about = [e for e in warnings if (e.involved_object.name or "").startswith(f"{name}-")]
        of_trials = [pod for pod in pods if OF_TRIAL in (pod.metadata.labels or {})]
        return Look(experiment, trials, of_trials, about)

    def log(self, pod: "V1Pod", container: str, *, lines: int) -> str:
        """The end of what a container printed; empty where nothing can be read any more."""
        from kubernetes.client import ApiException

        try:
            return str(
                self.connection.core.read_namespaced_pod_log(
                    pod.metadata.name, self.namespace, container=container, tail_lines=lines
                )
            )
        except ApiException:
            return ""

    def _check_injection(self) -> None:
        """Without the label, Katib would wait for metrics for ever. Who may not read namespaces isn't asked."""
        from kubernetes.client import ApiException

        try:
            labels = self.connection.core.read_namespace(self.namespace).metadata.labels or {}
        except ApiException as error:
            if error.status == 403:
                return
            with explained(f"looking at namespace {self.namespace}"):
                raise
        if labels.get(INJECTION) != "enabled":
            raise ClusterError(
                f"namespace {self.namespace}: Katib does not listen to its trials; "
                f"say `kubectl label namespace {self.namespace} {INJECTION}=enabled`"
            )

    @property
    def _experiments(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, "experiments"


def resource(
    study: Object, *, namespace: str, images: Mapping[str, str], run: str = "", owner: Object | None = None
) -> Object:
    """A study as it is sent: its own namespace, labels, owner and images; the rest stands as it is in the file."""
    given = study["metadata"]
    spec = _with_images(study["spec"], images)
    labels = {**given.get("labels", {}), **names.MANAGED, names.KEY: digest(spec)}
    labels |= {names.RUN: run} if run else {}
    metadata = {**given, "namespace": namespace, "labels": labels}
    metadata |= {"ownerReferences": [owner]} if owner else {}
    return {**study, "metadata": metadata, "spec": spec}


def _with_images(node: Any, images: Mapping[str, str]) -> Any:
    """Every `image: precisionflow-python-NAME:...` replaced by the reference of NAME."""
    if isinstance(node, dict):
        return {
            key: _reference(value, images) if key == "image" else _with_images(value, images)
            for key, value in node.items()
        }
    return [_with_images(item, images) for item in node] if isinstance(node, list) else node


def _reference(image: Any, images: Mapping[str, str]) -> Any:
    plain = str(image).rpartition("/")[2].partition("@")[0].partition(":")[0]
    return images.get(plain.removeprefix("precisionflow-python-"), image)


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as error:
        if error.status == 404:
            raise ClusterError(
                f"Katib is not installed: the API has no {GROUP}/{VERSION} experiments; have it installed, "
                "or search on this machine without --cluster"
            ) from None
        raise


@contextlib.contextmanager
def _accepted(name: str) -> Iterator[None]:
    """A refusal by Katib's webhook is no matter of rights."""
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
